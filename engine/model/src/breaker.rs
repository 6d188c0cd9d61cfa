//! The breaker of a deployment: where it stands, what it has counted, and what it saw when it opened. What it may bear is written by
//! authors under `rollout: breaker:` ([`BreakerSpec`](crate::BreakerSpec)); when it opens is decided in `rebar-scheduler`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Actor, AttemptId, NodeName, NodeRoleId};

/// What stops a deployment when things go wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Where it stands.
    pub state: BreakerState,
    /// Attempts that failed in a row.
    pub in_a_row: u32,
    /// The nodes on which an attempt failed since the last plan was accepted, or since it was reset.
    pub failed: BTreeSet<NodeName>,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum BreakerState {
    /// Everything may start.
    #[default]
    Closed,
    /// Nothing starts; what runs goes on to its end.
    Open {
        /// Since when.
        since: Timestamp,
        /// Who opened it.
        by: Actor,
        /// Why.
        evidence: Evidence,
        /// The number of the next attempt then: none from it on starts.
        next: AttemptId,
    },
    /// One may start. It closes the breaker, or opens it again.
    HalfOpen {
        /// Since when.
        since: Timestamp,
        /// Who asked for it.
        by: Actor,
        /// The one; none before it has started.
        probe: Option<NodeRoleId>,
    },
}

impl BreakerState {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half-open",
        }
    }
}

/// Why a breaker opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Evidence {
    /// So many attempts failed in a row.
    Consecutive {
        /// How many.
        failures: u32,
        /// The last one.
        attempt: AttemptId,
    },
    /// Attempts failed on more nodes than may fail.
    Failed {
        /// On how many.
        nodes: u32,
        /// How many may fail.
        allowed: u32,
        /// The last one.
        attempt: AttemptId,
    },
    /// The one that was let through to try failed.
    Probe {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// A person opened it.
    Manual {
        /// Why.
        reason: String,
    },
}
