//! The answer to "why is this not running?". Given by the function of `rebar-scheduler` that the scheduler itself uses; here are
//! only its words.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AttemptId, Evidence, Failure, LockName, NodeName, NodeRoleId, Phase};

/// The one vocabulary that people are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// In a plan, not accepted.
    Proposed,
    /// Something upstream is not done; Rebar acts.
    Waiting,
    /// Ready; waits for its node, a lock or a slot.
    Queued,
    /// An attempt is under way.
    Running,
    /// Done and verified.
    Active,
    /// The attempts are used up.
    Failed,
    /// A person must act.
    Blocked,
    /// A person paused it.
    Held,
    /// Being taken away.
    Undoing,
    /// Taken away.
    Removed,
    /// Was active; role or inputs changed.
    Stale,
}

impl Standing {
    /// The word for it, the same everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Held => "held",
            Self::Undoing => "undoing",
            Self::Removed => "removed",
            Self::Stale => "stale",
        }
    }
}

/// Who has to act next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhoActs {
    /// Rebar, by itself.
    Rebar,
    /// A person.
    You,
    /// Nobody: it is done.
    Nobody,
}

/// Why a node-role stands where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which one.
    pub id: NodeRoleId,
    /// The word for it.
    pub standing: Standing,
    /// Who has to act next.
    pub who: WhoActs,
    /// The reasons, the weightiest first; empty when it is active and fresh.
    pub reasons: Vec<Reason>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Reason {
    /// Something that it requires has failed, or is held up by a failure further up.
    UpstreamFailed {
        /// The failed node-role at the root.
        root: NodeRoleId,
    },
    /// Something that it requires is not active yet.
    UpstreamWaiting {
        /// The nearest ones, at most a handful.
        unmet: Vec<NodeRoleId>,
        /// How many there are in all.
        count: usize,
    },
    /// An input has no value although its producers are active.
    InputMissing {
        /// Which input.
        input: String,
        /// What was looked for.
        detail: String,
    },
    /// Another node-role holds the lock.
    LockHeld {
        /// The lock.
        lock: LockName,
        /// Who holds it.
        holder: NodeRoleId,
    },
    /// As many instances as the role allows are running.
    ConcurrencyLimit {
        /// The limit.
        limit: u32,
    },
    /// The agent of its node is not here.
    NodeAway {
        /// The node.
        node: NodeName,
        /// Since when; none if it never came.
        since: Option<Timestamp>,
    },
    /// The node is in maintenance.
    NodeMaintenance {
        /// The node.
        node: NodeName,
        /// Why.
        reason: String,
    },
    /// The deployment is paused.
    Paused {
        /// Why.
        reason: String,
    },
    /// The breaker of the deployment is open.
    BreakerOpen {
        /// Since when.
        since: Timestamp,
        /// Why.
        evidence: Evidence,
    },
    /// The breaker of the deployment lets one through, and that is another one.
    BreakerTries {
        /// Which one.
        probe: NodeRoleId,
    },
    /// It failed and is tried again later.
    BackOff {
        /// When.
        until: Timestamp,
        /// How many times it failed in a row.
        tries: u32,
    },
    /// It failed for good.
    Failed {
        /// The attempt.
        attempt: AttemptId,
        /// Its number.
        number: u32,
        /// Why.
        failure: Failure,
    },
    /// An attempt is under way.
    Running {
        /// The attempt.
        attempt: AttemptId,
        /// Its number.
        number: u32,
        /// Since when.
        since: Timestamp,
        /// When it is given up.
        deadline: Timestamp,
        /// The phase, where the agent said it.
        phase: Option<Phase>,
    },
    /// It is to be undone, after those that need it.
    DependantsFirst {
        /// The nearest ones, at most a handful.
        dependants: Vec<NodeRoleId>,
    },
    /// Something upstream is being run again.
    UpstreamChanging {
        /// The nearest one.
        id: NodeRoleId,
    },
    /// Its role or inputs changed: it runs again.
    InputsChanged,
}
