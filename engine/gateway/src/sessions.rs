//! The sessions of a door: a place for each, and the latest of every node. How one goes is in `session`; who is at its other end was
//! made sure of before.

use std::sync::Arc;

use futures::Stream;
use rebar_model::NodeName;
use rebar_ports::{AgentDoor, Clock};
use rebar_proto::v1::AgentMessage;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Status;

use crate::{
    Limits,
    outbox::{self, OutStream},
    peer::{Arrival, Peer},
    registry::Registry,
    session::{Inbound, Session},
};

/// The sessions of a door.
pub struct Sessions {
    door: Arc<dyn AgentDoor>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    registry: Arc<Registry>,
    seats: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Sessions {
    /// No sessions yet. Those that will be are tracked by `tasks` and end with `stop`.
    pub fn new(
        door: Arc<dyn AgentDoor>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let seats = Arc::new(Semaphore::new(limits.sessions));
        Self { door, clock, limits, registry: Arc::new(Registry::default()), seats, tasks, stop }
    }

    /// Opens a session for a node whose name the caller has verified: what the engine says is the stream that is returned. It is
    /// read from, and `hang_up` listened to, by what carries the session; an agent that does not read is hung up on.
    pub fn open<S>(&self, node: NodeName, hang_up: CancellationToken, inbound: S) -> Result<OutStream, Status>
    where
        S: Stream<Item = Result<AgentMessage, Status>> + Send + Unpin + 'static,
    {
        self.open_of(Peer { node, hang_up, arrival: Arrival::default() }, inbound)
    }

    /// The same for who came in through the door.
    pub(crate) fn open_of(&self, peer: Peer, inbound: impl Inbound + 'static) -> Result<OutStream, Status> {
        let Ok(seat) = self.seats.clone().try_acquire_owned() else {
            tracing::warn!(node = %peer.node, limit = self.limits.sessions, "session refused: too many");
            return Err(Status::resource_exhausted("too many sessions; come back later"));
        };
        let (outbox, stream) = outbox::channel(self.limits.queue);
        let session = Session {
            peer,
            door: self.door.clone(),
            clock: self.clock.clone(),
            limits: self.limits.clone(),
            registry: self.registry.clone(),
            stop: self.stop.clone(),
        };
        // The answer begins before hello is read, since a client may wait for it before it says anything.
        self.tasks.spawn(async move {
            session.run(inbound, outbox).await;
            drop(seat);
        });
        Ok(stream)
    }

    /// Whether a node has a session here, which means that the engine knows it.
    pub(crate) fn has(&self, node: &NodeName) -> bool {
        self.registry.has(node)
    }
}
