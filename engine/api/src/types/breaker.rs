//! Breakers: where they stand, what they bear, and why one is open.

use jiff::Timestamp;
use rebar_model::{Actor, DeploymentName, Evidence, NodeName, NodeRoleId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The breaker of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BreakerView {
    /// Of which deployment.
    #[schema(value_type = String)]
    pub deployment: DeploymentName,
    /// `closed`, `open` or `half-open`.
    pub state: String,
    /// Since when, if it is not closed.
    pub since: Option<Timestamp>,
    /// Who opened it, or had it let one through.
    #[schema(value_type = Option<String>)]
    pub by: Option<Actor>,
    /// Why it is open, in words.
    pub why: Option<String>,
    /// Why it is open.
    #[schema(value_type = Option<Object>)]
    pub evidence: Option<Evidence>,
    /// The node-role that is tried while it is half-open.
    #[schema(value_type = Option<String>)]
    pub probe: Option<NodeRoleId>,
    /// Attempts that failed in a row.
    pub in_a_row: u32,
    /// How many of them open it; none where the workload does not say.
    pub consecutive: Option<u32>,
    /// The nodes on which an attempt failed since the last plan was accepted, or since it was reset.
    #[schema(value_type = Vec<String>)]
    pub failed: Vec<NodeName>,
    /// On how many nodes attempts may fail; none where the workload does not say.
    pub max_failed: Option<u32>,
}

/// Why a person opens a breaker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TripRequest {
    /// Why; shown wherever somebody asks why nothing happens.
    #[serde(default)]
    pub reason: String,
}

/// How a breaker is closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetRequest {
    /// Whether one attempt is let through at first, which closes the breaker or opens it again.
    #[serde(default)]
    pub probe: bool,
}
