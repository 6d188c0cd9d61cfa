//! Waiting until a deployment stands somewhere.

use rebar_model::Span;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::DeploymentStatus;

/// What to wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// The goal.
    #[serde(rename = "for", default)]
    #[param(inline)]
    pub goal: WaitGoal,
    /// How long to wait, as in `30s`; ten minutes are the most, 30 seconds the default. Ask again to wait longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub timeout: Option<Span>,
}

/// Where a deployment should stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaitGoal {
    /// Nothing runs, and nothing will by itself; well or badly.
    Settled,
    /// Everything is active and up to date.
    #[default]
    Active,
    /// The deployment is gone.
    Removed,
}

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaitResult {
    /// It stands there.
    Reached,
    /// It will not get there by itself: something failed or is blocked, and nothing runs any more.
    Unreachable,
    /// Not yet; ask again.
    Timeout,
}

/// How waiting ended, and how the deployment stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WaitAnswer {
    /// How it ended.
    pub result: WaitResult,
    /// What was waited for.
    pub goal: WaitGoal,
    /// How the deployment stands; none when it is gone.
    pub status: Option<DeploymentStatus>,
}
