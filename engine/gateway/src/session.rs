//! One session of one agent, from hello to the end: reads, has things stored, answers, forwards commands, listens for silence. It
//! never waits for the agent to read and never for one attempt because of another. Meanings are in `convert`, order in `lanes`.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use prost::Message;
use rebar_model::{Epoch, NodeName};
use rebar_ports::{AgentCommand, AgentDoor, AgentGone, AgentSession, Clock, DoorError, SessionId};
use rebar_proto::v1::AgentMessage;
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval_at, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::{
    Limits,
    convert::{self, Invalid},
    lanes::Lanes,
    limits::{DRAIN, QUIET_PINGS, SUCCESSOR},
    outbox::{Full, Outbox},
    peer::Peer,
    registry::Registry,
    status,
};

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the agent ended it")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("the agent did not say hello in time")]
    NoHello,
    #[error("the agent broke the protocol: {0}")]
    Invalid(#[from] Invalid),
    #[error("the agent is silent")]
    Silent,
    #[error("the agent does not read what the engine says")]
    Overflow,
    #[error("a later session of this node took its place")]
    Replaced,
    #[error("the engine gave it up")]
    GivenUp,
    #[error("the engine is stopping")]
    Stopping,
    #[error(transparent)]
    Door(#[from] DoorError),
}

impl From<Full> for End {
    fn from(_: Full) -> Self {
        Self::Overflow
    }
}

impl End {
    fn status(&self) -> Status {
        let text = self.to_string();
        match self {
            Self::Closed => Status::ok(text),
            Self::Broken(_) | Self::Stopping | Self::GivenUp => Status::unavailable(text),
            Self::NoHello | Self::Silent => Status::deadline_exceeded(text),
            Self::Invalid(_) => Status::invalid_argument(text),
            Self::Overflow => Status::resource_exhausted(text),
            Self::Replaced => Status::aborted(text),
            Self::Door(error) => status::of_door(error),
        }
    }

    /// Whether the agent can still be told anything.
    fn is_deaf(&self) -> bool {
        matches!(self, Self::Silent | Self::Overflow)
    }
}

/// The engine's handle of a session: a bounded queue of commands.
struct Commands {
    queue: mpsc::Sender<AgentCommand>,
    overflow: CancellationToken,
}

impl AgentSession for Commands {
    fn send(&self, command: AgentCommand) -> Result<(), AgentGone> {
        self.queue.try_send(command).map_err(|error| {
            if matches!(error, mpsc::error::TrySendError::Full(_)) {
                self.overflow.cancel();
            }
            AgentGone
        })
    }
}

/// What an agent says, whatever carries it.
pub(crate) trait Inbound: Stream<Item = Result<AgentMessage, Status>> + Send + Unpin {}

impl<S: Stream<Item = Result<AgentMessage, Status>> + Send + Unpin> Inbound for S {}

/// What a session needs.
pub(crate) struct Session {
    pub(crate) peer: Peer,
    pub(crate) door: Arc<dyn AgentDoor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) registry: Arc<Registry>,
    pub(crate) stop: CancellationToken,
}

/// What a session holds once the engine has said welcome.
struct Open {
    commands: mpsc::Receiver<AgentCommand>,
    overflow: CancellationToken,
    replaced: CancellationToken,
    lanes: Lanes,
    pings: Interval,
    /// Pings in a row before which nothing was heard.
    quiet: u32,
    heard: bool,
}

impl Session {
    /// Runs until it is over, whoever ends it.
    pub(crate) async fn run(self, inbound: impl Inbound, outbox: Outbox) {
        let end = self.converse(inbound, &outbox).await;
        let node = &self.peer.node;
        match &end {
            End::Closed | End::Stopping => tracing::info!(%node, reason = %end, "session ended"),
            _ => tracing::warn!(%node, reason = %end, "session lost"),
        }
        outbox.end(end.status());
        if end.is_deaf() {
            self.peer.hang_up.cancel();
        }
    }

    async fn converse(&self, mut inbound: impl Inbound, outbox: &Outbox) -> End {
        let hello = tokio::select! {
            biased;
            () = self.stop.cancelled() => return End::Stopping,
            hello = timeout(self.limits.hello, inbound.next()) => match hello {
                Err(_) => return End::NoHello,
                Ok(None) => return End::Closed,
                Ok(Some(Err(status))) => return broken(&status),
                Ok(Some(Ok(message))) => convert::hello(message),
            },
        };
        let hello = match hello {
            Ok(hello) => hello,
            Err(error) => return error.into(),
        };
        tracing::info!(node = %self.peer.node, version = hello.agent_version, held = hello.held.len(), "agent says hello");
        let (queue, commands) = mpsc::channel(self.limits.queue.max(1));
        let overflow = CancellationToken::new();
        let handle = Arc::new(Commands { queue, overflow: overflow.clone() });
        // Not raced against anything: once the engine knows the session it has to hear of its end.
        let (id, epoch) = match self.door.connected(&self.peer.node, hello, handle).await {
            Ok(known) => known,
            Err(error) => return error.into(),
        };
        let mut pings = interval_at(self.registry.next_beat(self.limits.ping), self.limits.ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let lanes = Lanes::new(self.door.clone(), self.peer.node.clone());
        let replaced = CancellationToken::new();
        let mut open = Open { commands, overflow, replaced, lanes, pings, quiet: 0, heard: true };
        let end = self.welcomed(id, epoch, &mut open, inbound, outbox).await;
        self.close(id, open).await;
        end
    }

    async fn welcomed(
        &self,
        id: SessionId,
        epoch: Epoch,
        open: &mut Open,
        mut inbound: impl Inbound,
        outbox: &Outbox,
    ) -> End {
        let node = &self.peer.node;
        if !self.registry.enter(node, id, open.replaced.clone()) {
            return End::Replaced;
        }
        if let Err(full) = outbox.push(convert::welcome(epoch, node)) {
            return full.into();
        }
        self.peer.arrival.is_over();
        tracing::info!(%node, session = id.0, %epoch, "session open");
        loop {
            if let Err(end) = self.turn(open, &mut inbound, outbox).await {
                return end;
            }
        }
    }

    /// Waits for one thing and does what follows from it.
    async fn turn(&self, open: &mut Open, inbound: &mut impl Inbound, outbox: &Outbox) -> Result<(), End> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(End::Stopping),
            () = open.replaced.cancelled() => return Err(End::Replaced),
            () = open.overflow.cancelled() => return Err(End::Overflow),
            done = open.lanes.next(), if !open.lanes.is_idle() => {
                if let Some(done) = done
                    && let Some(message) = convert::stored(done?)
                {
                    outbox.push(message)?;
                }
            }
            command = open.commands.recv() => {
                let Some(command) = command else { return Err(open.given_up().await) };
                self.forward(command, open, outbox)?;
            }
            _ = open.pings.tick() => open.ping(outbox)?,
            message = inbound.next(), if !open.lanes.is_full() => {
                let message = message.ok_or(End::Closed)?.map_err(|status| broken(&status))?;
                open.heard = true;
                let size = message.encoded_len();
                if let Some(job) = convert::job(message, self.clock.now())? {
                    open.lanes.push(job, size);
                }
            }
        }
        Ok(())
    }

    fn forward(&self, command: AgentCommand, open: &mut Open, outbox: &Outbox) -> Result<(), End> {
        match convert::command(command) {
            Ok(message) => outbox.push(message)?,
            Err(error) => {
                tracing::error!(node = %self.peer.node, attempt = %error.attempt, %error, "attempt cannot be dispatched");
                open.lanes.push(error.into(), 0);
            }
        }
        Ok(())
    }

    /// Lets the engine store what the agent said before the end, then tells it of the end.
    async fn close(&self, id: SessionId, mut open: Open) {
        let node = &self.peer.node;
        // From here on `send` says that the agent is gone.
        drop(open.commands);
        let drained = timeout(DRAIN, async {
            while let Some(result) = open.lanes.next().await {
                if result.is_err() {
                    break;
                }
            }
        });
        if drained.await.is_err() {
            tracing::warn!(%node, "what the agent said last was not stored in time; it will say it again");
        }
        self.registry.leave(node, id);
        self.tell_disconnected(node, id).await;
    }

    async fn tell_disconnected(&self, node: &NodeName, id: SessionId) {
        if let Err(error) = self.door.disconnected(node, id).await {
            tracing::warn!(%node, session = id.0, %error, "the engine could not note the end of a session");
        }
    }
}

impl Open {
    /// The engine let go of its handle: because of a later session, which is then about to say so here, or for good.
    async fn given_up(&mut self) -> End {
        match timeout(SUCCESSOR, self.replaced.cancelled()).await {
            Ok(()) => End::Replaced,
            Err(_) => End::GivenUp,
        }
    }

    fn ping(&mut self, outbox: &Outbox) -> Result<(), End> {
        // While the engine itself does not read, silence says nothing about the agent.
        let heard = std::mem::take(&mut self.heard) || self.lanes.is_full();
        self.quiet = if heard { 0 } else { self.quiet + 1 };
        if self.quiet >= QUIET_PINGS {
            return Err(End::Silent);
        }
        Ok(outbox.push(convert::ping())?)
    }
}

fn broken(status: &Status) -> End {
    // What is too large or not Protobuf is the agent's doing; tonic gives the second no code of its own.
    let undecodable = status.code() == Code::OutOfRange || status.message().starts_with("failed to decode");
    if undecodable {
        return convert::undecodable(status.message()).into();
    }
    let causes = std::iter::successors(std::error::Error::source(status), |it| it.source());
    let Some(cause) = causes.last() else { return End::Broken(status.message().to_owned()) };
    match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::TimedOut) => End::Silent,
        _ => End::Broken(cause.to_string()),
    }
}
