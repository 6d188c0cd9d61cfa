//! Keeping a session open: connect, back off, renew the certificate. What arrives and what is to be said passes through channels.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rebar_link::Backoff;
use rebar_proto::{
    MAX_MESSAGE,
    v1::{AgentMessage, EngineMessage, RenewRequest, agent_client::AgentClient},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::{
    clock,
    disk::layout::State,
    door::{
        dial::{self, Connection},
        identity::{self, Identity},
    },
    error::Error,
    release::trial,
};

/// Messages on their way to the engine that are not yet HTTP/2's.
const OUTBOUND: usize = 16;
/// An engine that has not said in this time that it is one is not.
const WELCOME_PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries to renew; also the longest wait without a look at the clock, which may be set.
const RENEWAL_PAUSE: Duration = Duration::from_mins(1);

/// What a session tells the daemon.
#[derive(Debug)]
pub enum Event {
    /// A stream is open.
    Opened(Opened),
    /// The engine said something.
    Message(EngineMessage),
    /// The stream is over.
    Closed,
}

/// An open stream.
#[derive(Debug)]
pub struct Opened {
    /// What is to be said.
    pub outbound: mpsc::Sender<AgentMessage>,
    /// For other calls on the same connection.
    pub channel: Channel,
    /// This machine's address on the way to the engine.
    pub local: SocketAddr,
    /// Ends the stream.
    pub hang_up: CancellationToken,
    /// To be set when the engine is one that this agent obeys: the next wait is short again.
    pub welcomed: Arc<AtomicBool>,
}

/// Keeps a session open until cancelled.
pub async fn run(state: State, mut identity: Identity, events: mpsc::Sender<Event>, stop: CancellationToken) {
    let mut backoff = Backoff::default();
    let engines: Vec<String> = dial::addresses(&identity.engine).map(str::to_owned).collect();
    let mut turns = engines.iter().cycle().peekable();
    let mut tried = 0;
    while let Some(engine) = turns.peek() {
        let welcomed = Arc::new(AtomicBool::new(false));
        let since = Instant::now();
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = talk(engine, &state, &mut identity, &events, &welcomed) => ended,
        };
        match ended {
            Ok(()) => tracing::info!(engine, "session ended"),
            Err(error) => {
                tracing::warn!(%error, "no session");
                if let Error::Busy { after, .. } = error {
                    backoff.told(after);
                }
            }
        }
        if events.send(Event::Closed).await.is_err() {
            return;
        }
        if welcomed.load(Ordering::Relaxed) {
            backoff.after_session(since.elapsed());
            tried = 0;
        }
        // One that led and is silent is the last to be asked; every one is asked once before the wait grows.
        turns.next();
        tried += 1;
        if tried % engines.len() != 0 {
            continue;
        }
        let wait = backoff.next(rand::random()).min(trial::longest_wait());
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
    tracing::error!("the identity of this machine names no engine; it has to enrol again");
    stop.cancelled().await;
}

/// One session, from the first packet to the last.
async fn talk(
    engine: &str,
    state: &State,
    identity: &mut Identity,
    events: &mpsc::Sender<Event>,
    welcomed: &Arc<AtomicBool>,
) -> Result<(), Error> {
    let Connection { channel, local } = dial::dial(engine, dial::mutual_tls(identity)?).await?;
    let mut client = AgentClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE);
    let (outbound, said) = mpsc::channel(OUTBOUND);
    let hang_up = CancellationToken::new();
    let opened =
        Opened { outbound, channel: channel.clone(), local, hang_up: hang_up.clone(), welcomed: welcomed.clone() };
    if events.send(Event::Opened(opened)).await.is_err() {
        return Ok(());
    }
    let broken = |status: tonic::Status| ended_by(engine, &status);
    let unwelcome = Error::Unreachable { engine: engine.to_owned(), reason: "no welcome".to_owned() };
    let patience = sleep(WELCOME_PATIENCE);
    tokio::pin!(patience);
    let open = client.session(ReceiverStream::new(said));
    let mut inbound = tokio::select! {
        () = hang_up.cancelled() => return Ok(()),
        () = &mut patience => return Err(unwelcome),
        answer = open => answer.map_err(broken)?.into_inner(),
    };
    let renewing = keep_fresh(state, identity, channel);
    tokio::pin!(renewing);
    loop {
        tokio::select! {
            () = hang_up.cancelled() => return Ok(()),
            () = &mut renewing => {}
            () = &mut patience, if !patience.is_elapsed() => if !welcomed.load(Ordering::Relaxed) {
                return Err(unwelcome);
            },
            message = inbound.message() => match message.map_err(broken)? {
                Some(message) => if events.send(Event::Message(message)).await.is_err() { return Ok(()) },
                None => return Ok(()),
            },
        }
    }
}

/// Why a session is over: because the engine says so, or because nothing is heard of it.
fn ended_by(engine: &str, status: &tonic::Status) -> Error {
    match std::error::Error::source(status) {
        None => Error::Refused(status.message().to_owned()),
        Some(below) => {
            let deepest = std::iter::successors(Some(below), |error| error.source()).last().unwrap_or(below);
            Error::Unreachable { engine: engine.to_owned(), reason: deepest.to_string() }
        }
    }
}

/// Renews the certificate whenever two thirds of its life are over. The fresh one is used at the next connect.
async fn keep_fresh(state: &State, identity: &mut Identity, channel: Channel) {
    let mut client = AgentClient::new(channel);
    loop {
        let due = match identity.renew_at() {
            Ok(at) => at <= clock::now(),
            Err(error) => {
                tracing::error!(%error, "own certificate unreadable");
                true
            }
        };
        if due {
            match renew(state, identity, &mut client).await {
                Ok(fresh) => *identity = fresh,
                Err(error) => tracing::warn!(%error, "certificate not renewed"),
            }
        }
        sleep(RENEWAL_PAUSE).await;
    }
}

async fn renew(state: &State, identity: &Identity, client: &mut AgentClient<Channel>) -> Result<Identity, Error> {
    let (key_pem, csr_pem) = identity::request()?;
    let answer = client.renew(RenewRequest { csr_pem }).await;
    let response = answer.map_err(|status| Error::Refused(status.message().to_owned()))?.into_inner();
    let fresh = Identity {
        engine: identity.engine.clone(),
        node: identity.node.clone(),
        key_pem,
        certificate_pem: response.certificate_pem,
        ca_pem: if response.ca_pem.is_empty() { identity.ca_pem.clone() } else { response.ca_pem },
    };
    dial::mutual_tls(&fresh)?;
    fresh.save(state)?;
    tracing::info!(node = fresh.node, "certificate renewed");
    Ok(fresh)
}
