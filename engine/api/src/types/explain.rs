//! Why something is not done, the root cause first.

use jiff::Timestamp;
use rebar_model::{AttemptId, NodeRoleId, Standing, WhoActs};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What to explain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// A node-role, `role@node`; none means the whole deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplainView {
    /// The deployment, or the address of a node-role in it.
    pub subject: String,
    /// How it stands, in one line.
    pub headline: String,
    /// The word for a node-role; none for a deployment.
    #[schema(value_type = Option<String>)]
    pub standing: Option<Standing>,
    /// Who has to act next: `rebar`, `you` or `nobody`.
    #[schema(value_type = String)]
    pub who: WhoActs,
    /// The causes, the weightiest first; empty when all is well.
    pub causes: Vec<Cause>,
    /// How many more causes there are.
    pub more: usize,
}

/// One cause, with all node-roles that have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cause {
    /// Its kind, as in the reasons of node-roles: `failed`, `node-away`, `lock-held`, …
    pub kind: String,
    /// What happened, in one line.
    pub text: String,
    /// The word for the node-roles that have it.
    #[schema(value_type = String)]
    pub standing: Standing,
    /// Who has to act next: `rebar`, `you` or `nobody`.
    #[schema(value_type = String)]
    pub who: WhoActs,
    /// The node-roles that have it, at most 20.
    #[schema(value_type = Vec<String>)]
    pub node_roles: Vec<NodeRoleId>,
    /// How many have it.
    pub count: usize,
    /// The node-roles that it holds back, at most 20.
    #[schema(value_type = Vec<String>)]
    pub holds_back: Vec<NodeRoleId>,
    /// How many it holds back.
    pub holds_back_count: usize,
    /// Since when, where known.
    pub since: Option<Timestamp>,
    /// The attempt to look at.
    #[schema(value_type = Option<u64>)]
    pub attempt: Option<AttemptId>,
    /// The last lines of its log.
    pub log: Vec<String>,
    /// Commands that a person could try.
    pub next: Vec<String>,
}
