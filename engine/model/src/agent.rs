//! The agents of nodes as the engine knows them: which version each said it is, where it stands in the upgrade of all agents, and
//! that upgrade itself. What may happen to them next is decided in `rebar-scheduler`.

use std::fmt;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{Actor, NodeName, Span};

/// The number of an upgrade of the agents, from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UpgradeNo(pub u64);

impl UpgradeNo {
    /// The one after this.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for UpgradeNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The agent of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Of which node.
    pub node: NodeName,
    /// The version that it said it is; none if it never came, or said something else than a version.
    pub version: Option<Version>,
    /// Where it stands in the last upgrade that reached it.
    pub step: Option<UpgradeStep>,
}

/// Where an agent stands in an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeStep {
    /// Which upgrade.
    pub upgrade: UpgradeNo,
    /// How far it is.
    pub state: StepState,
}

/// How far an agent is in an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum StepState {
    /// It was told, and has not said that it is the new one.
    Told {
        /// When it has to have said so.
        deadline: Timestamp,
    },
    /// It said that it is the new one, and is watched.
    Watched {
        /// Until when it has to stay.
        until: Timestamp,
        /// When it has to have said so again, should it go before.
        deadline: Timestamp,
    },
    /// It is the new one.
    Done {
        /// Since when.
        at: Timestamp,
    },
    /// It is not the new one.
    Failed {
        /// In what way.
        failure: UpgradeFailure,
        /// Since when.
        at: Timestamp,
    },
}

impl StepState {
    /// Whether the agent is about to become the new one.
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::Told { .. } | Self::Watched { .. })
    }

    /// When it has to be looked at although nothing happened.
    pub fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Told { deadline } => Some(*deadline),
            Self::Watched { until, .. } => Some(*until),
            Self::Done { .. } | Self::Failed { .. } => None,
        }
    }
}

/// Why an agent did not become the new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum UpgradeFailure {
    /// It did not take the release.
    #[error("the agent refused the release: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// It tried the release, and went back to the one before.
    #[error("the agent is back on the release before: {reason}")]
    RolledBack {
        /// Why.
        reason: String,
    },
    /// Nothing was heard of it.
    #[error("the agent did not say in time that it is the new release, nor why it is not")]
    Silent,
    /// It said that it is the new one, and did not stay.
    #[error("the agent did not stay connected as the new release")]
    Unstable,
}

impl UpgradeFailure {
    /// The number of its page.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "RB4505",
            Self::RolledBack { .. } => "RB4506",
            Self::Silent => "RB4507",
            Self::Unstable => "RB4508",
        }
    }
}

/// What an agent says of an upgrade that it did not go through with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeReport {
    /// Which upgrade.
    pub upgrade: UpgradeNo,
    /// In what way.
    pub failure: UpgradeFailure,
}

/// The upgrade of all agents to one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentUpgrade {
    /// Its number.
    pub no: UpgradeNo,
    /// The release.
    pub version: Version,
    /// How many agents go first.
    pub canaries: u32,
    /// How many agents are upgraded at once after that.
    pub max_in_flight: u32,
    /// How long an agent has to stay connected before the next ones follow.
    pub stable_for: Span,
    /// How long an agent may take to say that it is the new one.
    pub report_within: Span,
    /// The agents that went first.
    pub first: Vec<NodeName>,
    /// Whether it goes on.
    pub state: UpgradeState,
    /// Who asked for it.
    pub by: Actor,
    /// When.
    pub started_at: Timestamp,
}

/// Whether an upgrade goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum UpgradeState {
    /// It does.
    Running,
    /// It stopped by itself: nothing new is told to any agent.
    Held {
        /// The node whose agent is not the new one.
        node: NodeName,
        /// Why it is not.
        failure: UpgradeFailure,
        /// Since when.
        at: Timestamp,
    },
    /// A person stopped it.
    Stopped {
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
    },
    /// Every agent that ever came is the new one.
    Done {
        /// Since when.
        at: Timestamp,
    },
}

impl AgentUpgrade {
    /// Whether it goes on.
    pub fn is_running(&self) -> bool {
        matches!(self.state, UpgradeState::Running)
    }
}

impl UpgradeState {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Held { .. } => "held",
            Self::Stopped { .. } => "stopped",
            Self::Done { .. } => "done",
        }
    }
}
