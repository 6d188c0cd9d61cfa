//! One execution of a node-role: what it was asked, what it saw, how it ended. The states around it live in `node_role.rs`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AttemptId, Digest, Epoch, Ident, NodeName, NodeRoleId, RetryReason, Span};

/// What a role can be asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Read-only: is it so already?
    Check,
    /// Moves load away.
    Drain,
    /// Makes it so.
    Apply,
    /// Looks whether it works.
    Verify,
    /// Takes it away.
    Undo,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Check => "check",
            Self::Drain => "drain",
            Self::Apply => "apply",
            Self::Verify => "verify",
            Self::Undo => "undo",
        })
    }
}

/// What an attempt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptKind {
    /// Bringing the node-role to Active.
    Apply,
    /// Undoing what stands, then bringing it to Active.
    Replace,
    /// Taking it away.
    Undo,
}

/// One execution of a node-role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Unique over the engine.
    pub id: AttemptId,
    /// Of what.
    pub node_role: NodeRoleId,
    /// Its place among the attempts of the node-role, from 1: the `#3` of an address.
    pub number: u32,
    /// What for.
    pub kind: AttemptKind,
    /// The phases asked for, in order.
    pub phases: Vec<Phase>,
    /// The node whose agent runs it; none for the engine itself.
    pub node: Option<NodeName>,
    /// The epoch of the engine that dispatched it.
    pub epoch: Epoch,
    /// The workload version whose role it carries out, whatever is planned meanwhile.
    pub workload: Digest,
    /// The content of that role.
    pub content: Digest,
    /// The key that success will have.
    pub key: Digest,
    /// The hash of the inputs whose change asks for a redeploy.
    pub replace_key: Digest,
    /// What it sees; secrets as references.
    pub inputs: BTreeMap<Ident, ResolvedInput>,
    /// When it was dispatched.
    pub started_at: Timestamp,
    /// When it is given up.
    pub deadline: Timestamp,
    /// When the agent said that it holds it.
    pub accepted_at: Option<Timestamp>,
    /// When its end was committed.
    pub ended_at: Option<Timestamp>,
    /// How it ended; none while it runs.
    pub outcome: Option<Outcome>,
}

/// An input as an attempt saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedInput {
    /// The value; a secret as its reference.
    pub value: Value,
    /// The node-roles whose outputs it was made of; empty for parameters and facts.
    pub from: Vec<NodeRoleId>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Outcome {
    /// It worked.
    Succeeded {
        /// Its outputs; secrets as references.
        outputs: BTreeMap<Ident, Value>,
        /// The check said that it was so already.
        converged: bool,
        /// One line for people.
        note: Option<String>,
    },
    /// It did not.
    Failed(Failure),
    /// A person or a newer wish ended it.
    Cancelled,
}

/// What an executor says about the end of an attempt; the scheduler makes an [`Outcome`] of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Report {
    /// It worked.
    Succeeded {
        /// Its outputs, not yet checked; secrets as references.
        outputs: BTreeMap<Ident, Value>,
        /// The check said that it was so already.
        converged: bool,
        /// One line for people.
        note: Option<String>,
    },
    /// It did not.
    Failed(Failure),
    /// It was ended on request.
    Cancelled,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind, for retries and filters.
    pub kind: FailureKind,
    /// The phase, where one ran.
    pub phase: Option<Phase>,
    /// The exit code, where a process ended by itself.
    pub exit_code: Option<i32>,
    /// One line that says what happened; never a secret.
    pub message: String,
    /// When the role asked to be tried again.
    pub retry_after: Option<Span>,
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The process, or the service, failed.
    Error,
    /// It ran out of time.
    Timeout,
    /// It asked to be tried again.
    Tempfail,
    /// The agent did not come back in time.
    AgentLost,
    /// Its outputs break their schema.
    BadOutputs,
    /// It could not be started.
    Setup,
}

impl FailureKind {
    /// The reason under which a retry policy names it; none if it is never tried again by itself.
    pub fn retry_reason(self) -> Option<RetryReason> {
        match self {
            Self::Error | Self::Setup => Some(RetryReason::Error),
            Self::Timeout => Some(RetryReason::Timeout),
            Self::Tempfail => Some(RetryReason::Tempfail),
            Self::AgentLost => Some(RetryReason::AgentLost),
            Self::BadOutputs => None,
        }
    }
}
