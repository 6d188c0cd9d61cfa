//! The port that agents come in through: what the gateway asks of the engine's owner of the World. `rebar-orchestrator`
//! implements it with its handle; the gateway's tests with a fake.

use std::sync::Arc;

use async_trait::async_trait;
use rebar_model::{AttemptId, Digest, Epoch, Facts, NodeName, Phase, Report, UpgradeReport};

use crate::{AgentSession, LogChunk};

/// One connection of an agent; a later one of the same node ends the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What an agent says first.
#[derive(Debug, Clone)]
pub struct AgentHello {
    /// The version of the agent.
    pub agent_version: String,
    /// Changes with every boot of the machine.
    pub boot_id: String,
    /// The highest epoch that the agent has obeyed.
    pub epoch: Epoch,
    /// The attempts that its journal holds.
    pub held: Vec<AttemptId>,
    /// The last upgrade that it did not go through with.
    pub upgrade: Option<UpgradeReport>,
}

/// What the gateway asks of the engine.
#[async_trait]
pub trait AgentDoor: Send + Sync + 'static {
    /// Uses up a one-time token: the node that it was made for. Durable before it returns.
    async fn enrol(&self, token: &str) -> Result<NodeName, DoorError>;

    /// An agent is here. Attempts that it should run and does not hold are dispatched through the session.
    async fn connected(
        &self,
        node: &NodeName,
        hello: AgentHello,
        session: Arc<dyn AgentSession>,
    ) -> Result<(SessionId, Epoch), DoorError>;

    /// A session ended; one that a later session replaced is ignored.
    async fn disconnected(&self, node: &NodeName, session: SessionId) -> Result<(), DoorError>;

    /// An agent reported its facts.
    async fn facts(&self, node: &NodeName, facts: Facts) -> Result<(), DoorError>;

    /// An attempt is in the agent's journal. Returns before that is durable: the agent says it again when it comes back.
    async fn started(&self, node: &NodeName, attempt: AttemptId) -> Result<(), DoorError>;

    /// How far an attempt is.
    async fn progress(
        &self,
        node: &NodeName,
        attempt: AttemptId,
        phase: Option<Phase>,
        percent: u32,
        text: String,
    ) -> Result<(), DoorError>;

    /// An attempt ended. When it returns the end is durable, or was not wanted: either way the agent may forget the attempt.
    async fn ended(&self, node: &NodeName, attempt: AttemptId, report: Report) -> Result<(), DoorError>;

    /// An agent does not go through with an upgrade.
    async fn upgrade_failed(&self, node: &NodeName, report: UpgradeReport) -> Result<(), DoorError>;

    /// A piece of a log; the offset up to which the log is durable then.
    async fn log(&self, node: &NodeName, chunk: LogChunk) -> Result<u64, DoorError>;

    /// The archive of a role's content.
    async fn content(&self, digest: Digest) -> Result<Option<Vec<u8>>, DoorError>;
}

/// Why the engine does not do what an agent asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DoorError {
    /// The token is unknown.
    #[error("this token is not known to this engine")]
    UnknownToken,
    /// The token was used.
    #[error("this token was used already; make a new one with `rebar node token NODE`")]
    UsedToken,
    /// The token is too old.
    #[error("this token has expired; make a new one with `rebar node token NODE`")]
    ExpiredToken,
    /// The node is not known, or was removed.
    #[error("node `{0}` is not known to this engine")]
    UnknownNode(NodeName),
    /// The agent has obeyed a newer engine.
    #[error("this engine's epoch {ours} is over: the agent has obeyed {theirs}")]
    Fenced {
        /// Of this engine.
        ours: Epoch,
        /// Of the agent.
        theirs: Epoch,
    },
    /// The engine is stopping or its store is gone; come back later.
    #[error("the engine is not available: {0}")]
    Unavailable(String),
}
