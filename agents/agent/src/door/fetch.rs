//! Getting a role's content from the engine: resumed where it broke off, whatever session it is, and taken in only when its digest
//! is right.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
    time::Duration,
};

use rebar_link::Backoff;
use rebar_proto::{
    MAX_MESSAGE,
    v1::{FetchRequest, FetchResponse, agent_client::AgentClient},
};
use tokio::sync::{Mutex, watch};
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status, transport::Channel};

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
        let path = content::archive(&self.state, digest).map_err(Transfer::Final)?;
        let part = path.with_extension("part");
        let offset = self.received(digest).map_err(Transfer::Final)?;
        let file = OpenOptions::new().append(true).create(true).open(&part).at(&part).map_err(Transfer::Final)?;
        let mut client = AgentClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let request = FetchRequest { digest: digest.to_owned(), offset };
        let answer = client.fetch(request).await.map_err(|status| {
            // More is here than there is: it is not a piece of it.
            if status.code() == Code::OutOfRange {
                discard(&part);
            }
            Transfer::from_status(digest, &status)
        })?;
        append(answer.into_inner(), file, &part, digest).await?;
        if content::hash(&part).map_err(Transfer::Final)? != digest {
            discard(&part);
            return Err(Transfer::Broken("what came has another digest".to_owned()));
        }
        // Not waited for: what a power cut takes of it is seen when it is to be used, and comes again.
        fs::rename(&part, &path).at(&path).map_err(Transfer::Final)
    }
}

/// Appends what comes to the part of an archive that is here already.
async fn append(
    mut stream: impl Stream<Item = Result<FetchResponse, Status>> + Unpin,
    mut file: File,
    part: &Path,
    digest: &str,
) -> Result<(), Transfer> {
    let mut length = file.metadata().at(part).map_err(Transfer::Final)?.len();
    while let Some(response) = stream.next().await {
        let FetchResponse { chunk } = response.map_err(|status| Transfer::from_status(digest, &status))?;
        length += chunk.len() as u64;
        if length > MAX_ARCHIVE {
            discard(part);
            let reason = "larger than any content may be".to_owned();
            return Err(Transfer::Final(Error::Content { digest: digest.to_owned(), reason }));
        }
        file.write_all(&chunk).at(part).map_err(Transfer::Final)?;
    }
    Ok(())
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
    fn from_status(digest: &str, status: &Status) -> Self {
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

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    use rebar_proto::v1::{
        AgentMessage, EngineMessage, RenewRequest, RenewResponse,
        agent_server::{Agent, AgentServer},
    };
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{
        Request, Response, Streaming,
        transport::{Endpoint, Server},
    };

    use super::*;

    const CONTENT: &[u8] = b"a whole archive";

    /// What an engine does with one transfer.
    enum Manner {
        Busy,
        BreaksAfter(usize),
    }

    /// An engine that does with each transfer what is next, and in the end sends all there is.
    #[derive(Clone, Default)]
    struct Moody(Arc<Mutex<VecDeque<Manner>>>);

    #[tonic::async_trait]
    impl Agent for Moody {
        type SessionStream = tokio_stream::Pending<Result<EngineMessage, Status>>;
        type FetchStream = tokio_stream::Iter<std::vec::IntoIter<Result<FetchResponse, Status>>>;

        async fn session(&self, _: Request<Streaming<AgentMessage>>) -> Result<Response<Self::SessionStream>, Status> {
            Err(Status::unimplemented("transfers only"))
        }

        async fn renew(&self, _: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
            Err(Status::unimplemented("transfers only"))
        }

        async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
            let from = usize::try_from(request.into_inner().offset).expect("size");
            let chunk = |until: usize| Ok(FetchResponse { chunk: CONTENT[from..until].to_vec() });
            let answers = match self.0.lock().expect("lock").pop_front() {
                Some(Manner::Busy) => return Err(Status::resource_exhausted("come back later")),
                Some(Manner::BreaksAfter(bytes)) => {
                    vec![chunk(from + bytes), Err(Status::unavailable("the line broke"))]
                }
                None => vec![chunk(CONTENT.len())],
            };
            Ok(Response::new(tokio_stream::iter(answers)))
        }
    }

    /// What becomes of a transfer from an engine with these manners, and how many of them it did not come to.
    async fn fetched(manners: impl IntoIterator<Item = Manner>) -> (Result<(), Error>, usize) {
        let home = tempfile::tempdir().expect("directory");
        let engine = Moody(Arc::new(Mutex::new(manners.into_iter().collect())));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let address = listener.local_addr().expect("address");
        let server = Server::builder().add_service(AgentServer::new(engine.clone()));
        let serving = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let channel = Endpoint::from_shared(format!("http://{address}")).expect("address").connect_lazy();
        let session = watch::Sender::new(Some(channel));
        let fetcher = Fetcher::new(State::open(home.path()).expect("state"), session.subscribe());
        let digest = blake3::hash(CONTENT).to_hex().to_string();
        let result = fetcher.ensure(&digest).await;
        assert_eq!(content::is_cached(&fetcher.state, &digest).expect("looked"), result.is_ok());
        serving.abort();
        let left = engine.0.lock().expect("lock").len();
        (result, left)
    }

    fn fruitless(tries: u32) -> impl Iterator<Item = Manner> {
        (0..tries).map(|_| Manner::BreaksAfter(0))
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_tries_bring_nothing_before_it_is_given_up() {
        let (result, left) = fetched(fruitless(MAX_TRIES)).await;
        assert_eq!((result.map_err(|error| error.to_string()), left), (Ok(()), 0));
        let (result, left) = fetched(fruitless(MAX_TRIES + 1).chain([Manner::Busy])).await;
        assert!(result.expect_err("one more than may be").to_string().ends_with(": the line broke"));
        assert_eq!(left, 1, "nobody is asked any more");
    }

    #[tokio::test(start_paused = true)]
    async fn tries_that_bring_something_and_engines_that_are_busy_do_not_count() {
        let busy = (0..2 * MAX_TRIES).map(|_| Manner::Busy);
        let slowly = (0..CONTENT.len()).map(|_| Manner::BreaksAfter(1));
        let manners = fruitless(MAX_TRIES).chain(slowly).chain(busy).chain(fruitless(MAX_TRIES));
        let (result, left) = fetched(manners).await;
        assert_eq!((result.map_err(|error| error.to_string()), left), (Ok(()), 0));
    }

    #[tokio::test]
    async fn an_archive_is_as_large_as_it_may_be() {
        let home = tempfile::tempdir().expect("directory");
        let part = home.path().join("archive.part");
        let append_to = async |before: u64| {
            // A file that has a length and nothing in it: it takes no room on the disk.
            File::create(&part).and_then(|file| file.set_len(before)).expect("part");
            let file = OpenOptions::new().append(true).open(&part).expect("part");
            let answers = tokio_stream::iter([b"1", b"2"].map(|it| Ok(FetchResponse { chunk: it.to_vec() })));
            append(answers, file, &part, "its-digest").await
        };
        assert!(append_to(MAX_ARCHIVE - 2).await.is_ok());
        assert_eq!(fs::metadata(&part).expect("part").len(), MAX_ARCHIVE);
        let Err(Transfer::Final(error)) = append_to(MAX_ARCHIVE - 1).await else { panic!("one byte too many") };
        assert_eq!(error.to_string(), "content its-digest: larger than any content may be");
        assert!(!part.exists(), "nothing of it stays");
    }
}
