//! What happened, in the one order of the engine's history.

use jiff::Timestamp;
use rebar_model::{Actor, DeploymentName, Seq};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// A committed change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Its place in history; readers resume after the last one that they saw.
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// When it was decided.
    pub at: Timestamp,
    /// Who caused it.
    #[schema(value_type = String)]
    pub by: Actor,
    /// What kind of change, as in `node-role-moved`.
    pub kind: String,
    /// The deployment that it belongs to, if any.
    #[schema(value_type = Option<String>)]
    pub deployment: Option<DeploymentName>,
    /// What changed: a name, an address, a number.
    pub subject: String,
    /// One line for people.
    pub summary: String,
    /// The change itself; secrets as references.
    pub change: Value,
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only those after this one: a number, `now` for those that are still to come, or `-N` for the last N and those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Only those of one deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub deployment: Option<DeploymentName>,
    /// At most this many in a list; a stream goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
