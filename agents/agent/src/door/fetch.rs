//! Getting a role's content from the engine: resumed where it broke off, whatever session it is, and taken in only when its digest
//! is right.

use std::{fs, fs::OpenOptions, io::Write, path::Path, time::Duration};

use rebar_link::Backoff;
use rebar_proto::{
    MAX_MESSAGE,
    v1::{FetchRequest, agent_client::AgentClient},
};
use tokio::sync::{Mutex, watch};
use tonic::{Code, transport::Channel};

use crate::{
    disk::{
        content::{self, MAX_ARCHIVE},
        layout::State,
    },
    error::{Context, Error},
};

/// Between two tries on a session that is still there.
const PAUSE: Duration = Duration::from_secs(1);
/// Tries that make no headway.
const MAX_TRIES: u32 = 10;

/// Gets content, one archive at a time.
#[derive(Debug)]
pub struct Fetcher {
    state: State,
    channel: watch::Receiver<Option<Channel>>,
    busy: Mutex<()>,
}

impl Fetcher {
    /// A fetcher that uses whatever session is open.
    pub fn new(state: State, channel: watch::Receiver<Option<Channel>>) -> Self {
        Self { state, channel, busy: Mutex::new(()) }
    }

    /// Sees to it that an archive is in the cache.
    pub async fn ensure(&self, digest: &str) -> Result<(), Error> {
        if digest.is_empty() || content::is_cached(&self.state, digest)? {
            return Ok(());
        }
        let _turn = self.busy.lock().await;
        if content::is_cached(&self.state, digest)? {
            return Ok(());
        }
        let mut channel = self.channel.clone();
        let mut tries = 0;
        let mut busy = Backoff::default();
        loop {
            let open = channel.wait_for(Option::is_some).await.map_err(|_| Error::Cancelled)?.clone();
            let Some(open) = open else { continue };
            let before = self.received(digest)?;
            let transferred = tokio::select! {
                transferred = self.transfer(open, digest) => transferred,
                // An engine that is frozen never says that it is; when its session is over, so is what it was sending.
                changed = channel.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Err(Error::Cancelled),
                },
            };
            match transferred {
                Ok(()) => return content::prune(&self.state),
                Err(Transfer::Final(error)) => return Err(error),
                // When a whole data centre asks for the same, somebody is the last: that is no failure.
                Err(Transfer::Busy) => tokio::time::sleep(PAUSE + busy.next(rand::random())).await,
                Err(Transfer::Broken(reason)) => {
                    tracing::info!(digest, reason, "transfer interrupted");
                    tries = if self.received(digest)? > before { 0 } else { tries + 1 };
                    if tries > MAX_TRIES {
                        return Err(Error::Content { digest: digest.to_owned(), reason });
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn received(&self, digest: &str) -> Result<u64, Error> {
        let part = content::archive(&self.state, digest)?.with_extension("part");
        Ok(fs::metadata(part).map_or(0, |metadata| metadata.len()))
    }

    async fn transfer(&self, channel: Channel, digest: &str) -> Result<(), Transfer> {
        let refused =
            |reason: &str| Transfer::Final(Error::Content { digest: digest.to_owned(), reason: reason.to_owned() });
        let path = content::archive(&self.state, digest).map_err(Transfer::Final)?;
        let part = path.with_extension("part");
        let mut length = self.received(digest).map_err(Transfer::Final)?;
        let mut file = OpenOptions::new().append(true).create(true).open(&part).at(&part).map_err(Transfer::Final)?;
        let mut client = AgentClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let request = FetchRequest { digest: digest.to_owned(), offset: length };
        let answer = client.fetch(request).await.map_err(|status| {
            // More is here than there is: it is not a piece of it.
            if status.code() == Code::OutOfRange {
                discard(&part);
            }
            Transfer::from_status(digest, &status)
        })?;
        let mut stream = answer.into_inner();
        while let Some(response) = stream.message().await.map_err(|status| Transfer::from_status(digest, &status))? {
            length += response.chunk.len() as u64;
            if length > MAX_ARCHIVE {
                discard(&part);
                return Err(refused("larger than any content may be"));
            }
            file.write_all(&response.chunk).at(&part).map_err(Transfer::Final)?;
        }
        if content::hash(&part).map_err(Transfer::Final)? != digest {
            discard(&part);
            return Err(Transfer::Broken("what came has another digest".to_owned()));
        }
        // Not waited for: what a power cut takes of it is seen when it is to be used, and comes again.
        fs::rename(&part, &path).at(&path).map_err(Transfer::Final)
    }
}

/// Why a transfer ended early.
enum Transfer {
    /// The engine serves as many as it can.
    Busy,
    /// Another try may help.
    Broken(String),
    /// None will.
    Final(Error),
}

impl Transfer {
    fn from_status(digest: &str, status: &tonic::Status) -> Self {
        let reason = status.message().to_owned();
        match status.code() {
            Code::NotFound | Code::InvalidArgument | Code::PermissionDenied | Code::Unimplemented => {
                Self::Final(Error::Content { digest: digest.to_owned(), reason })
            }
            Code::ResourceExhausted => Self::Busy,
            _ => Self::Broken(reason),
        }
    }
}

fn discard(part: &Path) {
    if let Err(error) = fs::remove_file(part) {
        tracing::warn!(path = %part.display(), %error, "leftover of a transfer stays");
    }
}
