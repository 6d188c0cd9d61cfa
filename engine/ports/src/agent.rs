//! The port to a connected agent, and the work that it is handed. The gateway implements it over gRPC.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rebar_model::{
    AttemptId, AttemptKind, Digest, Epoch, Ident, NodeRoleId, Phase, RebootPolicy, SignedRelease, Span, UpgradeNo,
};
use serde_json::Value;

/// A connected agent.
pub trait AgentSession: Send + Sync {
    /// Hands a command over; never waits. A session whose queue is full or whose stream is gone says so, and is then lost.
    fn send(&self, command: AgentCommand) -> Result<(), AgentGone>;
}

/// The session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session of this agent is over")]
pub struct AgentGone;

/// What the engine says to an agent.
#[derive(Clone)]
pub enum AgentCommand {
    /// Run an attempt; said at least once.
    Dispatch(Box<Work>),
    /// End an attempt.
    Cancel {
        /// Which one.
        attempt: AttemptId,
        /// Who says so.
        epoch: Epoch,
    },
    /// The end of an attempt is durable; forget it.
    ResultStored {
        /// Which one.
        attempt: AttemptId,
    },
    /// The log up to an offset is durable.
    LogStored {
        /// Of which attempt.
        attempt: AttemptId,
        /// Up to where.
        offset: u64,
    },
    /// Become another release; said at least once.
    Upgrade(Box<UpgradeOrder>),
}

/// A release as an agent is told to become it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeOrder {
    /// Of which upgrade.
    pub upgrade: UpgradeNo,
    /// Who says so.
    pub epoch: Epoch,
    /// What the program is fetched by.
    pub content: Digest,
    /// What it is verified by.
    pub signed: SignedRelease,
}

/// An attempt as an agent is handed it, secrets opened. Deliberately without `Debug`.
#[derive(Clone)]
pub struct Work {
    /// The attempt.
    pub attempt: AttemptId,
    /// Who dispatched it.
    pub epoch: Epoch,
    /// Of what.
    pub node_role: NodeRoleId,
    /// What for.
    pub kind: AttemptKind,
    /// The content of the role.
    pub content: Digest,
    /// The phases in order.
    pub phases: Vec<PhaseWork>,
    /// Exactly the declared inputs, secrets opened.
    pub inputs: BTreeMap<Ident, Value>,
    /// The inputs that must never reach a log.
    pub secret_inputs: Vec<Ident>,
    /// The outputs that must never reach a log.
    pub secret_outputs: Vec<Ident>,
    /// The program that reads the files.
    pub shell: Option<String>,
    /// The user to run as.
    pub user: Option<String>,
    /// The templates of the role's content, and the absolute paths that they are rendered to.
    pub templates: BTreeMap<String, String>,
    /// Whether the role may have the machine rebooted.
    pub reboot: RebootPolicy,
    /// When it is no longer wanted.
    pub deadline: Timestamp,
}

/// One phase as an agent is handed it.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseWork {
    /// Which one.
    pub phase: Phase,
    /// The file to run.
    pub run: String,
    /// How long it may take.
    pub timeout: Span,
    /// Pause between two runs of verify.
    pub every: Option<Span>,
    /// How many times in a row verify has to succeed.
    pub successes: u32,
    /// Further environment variables.
    pub env: BTreeMap<String, String>,
}
