//! One role on one node, or on the deployment itself: what the scheduler moves. [`NodeRoleSpec`] is what a plan made of the
//! role, [`NodeRoleStatus`] where it stands; when it moves is decided in `rebar-scheduler`.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AttemptId, Binding, Digest, Failure, GroupName, Ident, LockName, NodeName, NodeRoleId, RoleName, Take};

/// Who runs a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RunsOn {
    /// The agent of the node.
    Agent,
    /// The engine.
    Engine,
}

/// What a plan made of a role on one node: everything that the scheduler needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeRoleSpec {
    /// Which one.
    pub id: NodeRoleId,
    /// The workload version that it comes from.
    pub workload: Digest,
    /// The content of the role.
    pub content: Digest,
    /// The node whose agent runs it; none for the engine.
    pub agent: Option<NodeName>,
    /// The group that brought the role to the node.
    pub group: Option<GroupName>,
    /// The place of the node in its group, from 0.
    pub ordinal: u32,
    /// Its inputs.
    pub bindings: BTreeMap<Ident, Arc<Binding>>,
    /// What has to be active before it runs.
    pub requires: Vec<Requirement>,
    /// The lock that it holds on its node while it runs.
    pub lock: Option<LockName>,
    /// Node-roles that used this one and stay: they are brought to their new wiring before it is undone.
    pub leave_after: Vec<NodeRoleId>,
}

/// Something that has to be active before a node-role runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The role.
    pub role: RoleName,
    /// How many of the candidates: [`Take::Any`] one, [`Take::Quorum`] more than half, all others every one.
    pub take: Take,
    /// The instances meant.
    pub candidates: Vec<NodeRoleId>,
    /// Where the edge comes from, in words: `input token`, `requires`, `after`.
    pub via: String,
}

/// Where a node-role stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeRoleStatus {
    /// Its state.
    pub state: State,
    /// Whether it is to be there.
    pub intent: Intent,
    /// The last time that it became active.
    pub last: Option<Success>,
    /// How many attempts it had.
    pub attempts: u32,
    /// How many attempts in a row failed and were tried again.
    pub tries: u32,
    /// Nothing starts before this moment: the back-off of a retry.
    pub not_before: Option<Timestamp>,
}

/// Whether a node-role is to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// It is to be active.
    Present,
    /// It is to be undone.
    Absent,
    /// Its node is gone for good: it is to be forgotten without being undone.
    Forgotten,
}

/// What the last success left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Success {
    /// The attempt.
    pub attempt: AttemptId,
    /// When.
    pub at: Timestamp,
    /// The hash of role content, inputs and runner version: an equal one is up to date.
    pub key: Digest,
    /// The hash of the inputs whose change asks for a redeploy.
    pub replace_key: Digest,
    /// The content of the role then.
    pub content: Digest,
    /// The outputs; secrets as references.
    pub outputs: BTreeMap<Ident, Value>,
}

/// The state of a node-role.
///
/// ```text
///  Waiting ──requirements met──▶ Queued ──dispatched──▶ Running
///   │  ▲ ◀──requirement lost──────┘ ▲                    │   │
///   │  │                            │ retry, stale       │ok │ failed, lost, deadline
///   │  └────────retried, revived    │                    ▼   ▼
///   └──up to date──────────────▶ Active ◀────────────────┘  Failed
///                                   │                         │
///            Removed ◀──ok── Undoing ◀──────undo dispatched───┘
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum State {
    /// Something that it requires is not active.
    Waiting,
    /// Ready: waits for its node, a lock, a slot or the end of a back-off.
    Queued {
        /// Since when.
        since: Timestamp,
    },
    /// An attempt is under way.
    Running {
        /// Which one.
        attempt: AttemptId,
        /// Since when.
        since: Timestamp,
        /// When it is given up.
        deadline: Timestamp,
    },
    /// Done and verified.
    Active {
        /// Whether that is still true of its present inputs.
        freshness: Freshness,
    },
    /// The attempts are used up.
    Failed {
        /// The last attempt.
        attempt: AttemptId,
        /// When.
        at: Timestamp,
        /// Why.
        failure: Failure,
        /// The key that it failed with: other inputs are worth another try.
        key: Digest,
    },
    /// It is being taken away.
    Undoing {
        /// By which attempt.
        attempt: AttemptId,
        /// Since when.
        since: Timestamp,
        /// When it is given up.
        deadline: Timestamp,
    },
    /// It was taken away.
    Removed,
}

/// Whether an active node-role is up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freshness {
    /// Role and inputs are those of its last success.
    Fresh,
    /// Something upstream is being run again; whether it matters here is not known yet.
    Suspect,
    /// Role or inputs changed: it will run again.
    Stale,
}

/// What moves a node-role.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// Everything that it requires is active, and it has to run.
    RequirementsMet {
        /// The moment.
        at: Timestamp,
    },
    /// Something that it requires is not active any more.
    RequirementLost,
    /// Everything that it requires is active, and its key is that of the last success.
    UpToDate,
    /// An attempt was handed out.
    Dispatched {
        /// Which one.
        attempt: AttemptId,
        /// The moment.
        at: Timestamp,
        /// When it is given up.
        deadline: Timestamp,
    },
    /// The attempt worked.
    Succeeded,
    /// The attempt failed and is tried again.
    FailedForNow,
    /// The attempt failed for good.
    FailedForGood {
        /// Which one.
        attempt: AttemptId,
        /// The moment.
        at: Timestamp,
        /// Why.
        failure: Failure,
        /// Its key.
        key: Digest,
    },
    /// The attempt was cancelled.
    Cancelled,
    /// Something upstream is being run again.
    Suspected,
    /// Its role or inputs changed.
    Staled,
    /// A person, or changed inputs, ask for another try.
    Retried,
    /// An undo attempt was handed out.
    UndoDispatched {
        /// Which one.
        attempt: AttemptId,
        /// The moment.
        at: Timestamp,
        /// When it is given up.
        deadline: Timestamp,
    },
    /// It is gone, or there was nothing to undo.
    Undone,
    /// It is to be built again.
    Revived,
}

/// A pair of state and trigger that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("a node-role that is {from:?} cannot take {trigger:?}")]
pub struct IllegalTransition {
    /// Where it stands.
    pub from: Box<State>,
    /// What was asked.
    pub trigger: Box<Trigger>,
}

impl State {
    /// The state after a trigger.
    pub fn next(&self, trigger: Trigger) -> Result<Self, IllegalTransition> {
        use Freshness::{Fresh, Stale, Suspect};
        let next = match (self, trigger.clone()) {
            (Self::Waiting | Self::Active { freshness: Suspect | Stale }, Trigger::RequirementsMet { at }) => {
                Self::Queued { since: at }
            }
            (Self::Queued { .. }, Trigger::RequirementLost) => Self::Waiting,
            (Self::Waiting | Self::Active { .. }, Trigger::UpToDate) => Self::Active { freshness: Fresh },
            (Self::Queued { .. }, Trigger::Dispatched { attempt, at, deadline }) => {
                Self::Running { attempt, since: at, deadline }
            }
            (Self::Running { .. }, Trigger::Succeeded) => Self::Active { freshness: Fresh },
            (Self::Running { .. } | Self::Undoing { .. }, Trigger::FailedForNow | Trigger::Cancelled) => Self::Waiting,
            (
                Self::Running { .. } | Self::Undoing { .. } | Self::Queued { .. } | Self::Waiting,
                Trigger::FailedForGood { attempt, at, failure, key },
            ) => Self::Failed { attempt, at, failure, key },
            (Self::Active { freshness: Fresh | Suspect }, Trigger::Suspected) => Self::Active { freshness: Suspect },
            (Self::Active { freshness: Stale }, Trigger::Suspected) | (Self::Active { .. }, Trigger::Staled) => {
                Self::Active { freshness: Stale }
            }
            (Self::Failed { .. }, Trigger::Retried) | (Self::Removed, Trigger::Revived) => Self::Waiting,
            (
                Self::Waiting | Self::Queued { .. } | Self::Active { .. } | Self::Failed { .. },
                Trigger::UndoDispatched { attempt, at, deadline },
            ) => Self::Undoing { attempt, since: at, deadline },
            (_, Trigger::Undone) => Self::Removed,
            _ => {
                return Err(IllegalTransition { from: Box::new(self.clone()), trigger: Box::new(trigger) });
            }
        };
        Ok(next)
    }

    /// The word for it, one vocabulary everywhere.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued { .. } => "queued",
            Self::Running { .. } => "running",
            Self::Active { freshness: Freshness::Stale } => "stale",
            Self::Active { .. } => "active",
            Self::Failed { .. } => "failed",
            Self::Undoing { .. } => "undoing",
            Self::Removed => "removed",
        }
    }

    /// The attempt under way.
    pub fn attempt(&self) -> Option<AttemptId> {
        match self {
            Self::Running { attempt, .. } | Self::Undoing { attempt, .. } => Some(*attempt),
            _ => None,
        }
    }

    /// When the attempt under way is given up.
    pub fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Running { deadline, .. } | Self::Undoing { deadline, .. } => Some(*deadline),
            _ => None,
        }
    }

    /// Whether it is active and nothing upstream is being run again.
    pub fn is_fresh(&self) -> bool {
        matches!(self, Self::Active { freshness: Freshness::Fresh })
    }
}

impl NodeRoleStatus {
    /// A node-role that was just planned.
    pub fn new() -> Self {
        Self { state: State::Waiting, intent: Intent::Present, last: None, attempts: 0, tries: 0, not_before: None }
    }

    /// Whether anything of it may be out there.
    pub fn left_traces(&self) -> bool {
        self.attempts > 0 || self.last.is_some()
    }
}

impl Default for NodeRoleStatus {
    fn default() -> Self {
        Self::new()
    }
}

/// A node-role: what it is and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRole {
    /// What a plan made of it.
    pub spec: std::sync::Arc<NodeRoleSpec>,
    /// Where it stands.
    pub status: NodeRoleStatus,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;

    fn states() -> Vec<State> {
        let at = Timestamp::UNIX_EPOCH;
        let (attempt, deadline) = (AttemptId(1), at);
        vec![
            State::Waiting,
            State::Queued { since: at },
            State::Running { attempt, since: at, deadline },
            State::Active { freshness: Freshness::Fresh },
            State::Active { freshness: Freshness::Suspect },
            State::Active { freshness: Freshness::Stale },
            State::Failed { attempt, at, failure: failure(), key: Digest::of(b"") },
            State::Undoing { attempt, since: at, deadline },
            State::Removed,
        ]
    }

    fn failure() -> Failure {
        Failure { kind: FailureKind::Error, phase: None, exit_code: Some(1), message: String::new(), retry_after: None }
    }

    fn triggers() -> Vec<(&'static str, Trigger)> {
        let at = Timestamp::UNIX_EPOCH;
        let (attempt, deadline) = (AttemptId(1), at);
        vec![
            ("met", Trigger::RequirementsMet { at }),
            ("lost", Trigger::RequirementLost),
            ("up to date", Trigger::UpToDate),
            ("dispatched", Trigger::Dispatched { attempt, at, deadline }),
            ("succeeded", Trigger::Succeeded),
            ("failed for now", Trigger::FailedForNow),
            ("failed for good", Trigger::FailedForGood { attempt, at, failure: failure(), key: Digest::of(b"") }),
            ("cancelled", Trigger::Cancelled),
            ("suspected", Trigger::Suspected),
            ("staled", Trigger::Staled),
            ("retried", Trigger::Retried),
            ("undo dispatched", Trigger::UndoDispatched { attempt, at, deadline }),
            ("undone", Trigger::Undone),
            ("revived", Trigger::Revived),
        ]
    }

    /// Every pair stands here: a new state or trigger has to be thought about.
    #[test]
    fn the_table_of_transitions_is_complete() {
        let legal = |from: &str, by: &str| match (from, by) {
            (_, "undone") => Some("removed"),
            ("waiting", "met") => Some("queued"),
            ("waiting", "up to date") => Some("active"),
            ("waiting" | "queued" | "running" | "undoing", "failed for good") => Some("failed"),
            ("waiting" | "queued" | "active" | "stale" | "failed", "undo dispatched") => Some("undoing"),
            ("queued", "lost") => Some("waiting"),
            ("queued", "dispatched") => Some("running"),
            ("running", "succeeded") => Some("active"),
            ("running" | "undoing", "failed for now" | "cancelled") => Some("waiting"),
            ("active" | "stale", "up to date") => Some("active"),
            ("active", "suspected") => Some("active"),
            ("stale", "suspected" | "staled") | ("active", "staled") => Some("stale"),
            ("stale", "met") => Some("queued"),
            ("failed", "retried") | ("removed", "revived") => Some("waiting"),
            _ => None,
        };
        for state in states() {
            for (by, trigger) in triggers() {
                let suspect = state == State::Active { freshness: Freshness::Suspect };
                let expected = if suspect && by == "met" { Some("queued") } else { legal(state.word(), by) };
                let seen = state.next(trigger).ok().map(|it| it.word());
                assert_eq!(seen, expected, "{state:?} by {by}");
            }
        }
    }
}
