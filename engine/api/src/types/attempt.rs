//! Executions of node-roles, and their logs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rebar_model::{AttemptId, AttemptKind, DeploymentName, Digest, Failure, Ident, NodeName, NodeRoleId, Phase};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// One execution of a node-role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    /// Unique over the engine.
    #[schema(value_type = u64)]
    pub id: AttemptId,
    /// Its address: `role@node#3`.
    pub address: String,
    /// Of what.
    #[schema(value_type = String)]
    pub node_role: NodeRoleId,
    /// Its place among the attempts of the node-role, from 1.
    pub number: u32,
    /// What for: `apply`, `replace` or `undo`.
    #[schema(value_type = String)]
    pub kind: AttemptKind,
    /// The phases asked for, in order.
    #[schema(value_type = Vec<String>)]
    pub phases: Vec<Phase>,
    /// The node whose agent runs it; none for the engine itself.
    #[schema(value_type = Option<String>)]
    pub node: Option<NodeName>,
    /// The key that success has.
    #[schema(value_type = String)]
    pub key: Digest,
    /// What it sees; secrets masked.
    #[schema(value_type = BTreeMap<String, AttemptInput>)]
    pub inputs: BTreeMap<Ident, AttemptInput>,
    /// When it was dispatched.
    pub started_at: Timestamp,
    /// When its agent said that it holds it.
    pub accepted_at: Option<Timestamp>,
    /// When it is given up.
    pub deadline: Timestamp,
    /// When its end was committed.
    pub ended_at: Option<Timestamp>,
    /// How it stands.
    pub result: AttemptResult,
    /// Why it failed.
    #[schema(value_type = Option<Object>)]
    pub failure: Option<Failure>,
    /// What it gave; secrets masked.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub outputs: BTreeMap<Ident, Value>,
    /// The check said that it was so already.
    pub converged: bool,
    /// One line that the role said at its end.
    pub note: Option<String>,
}

/// An input as an attempt saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AttemptInput {
    /// The value; secrets masked.
    pub value: Value,
    /// The node-roles whose outputs it was made of.
    #[schema(value_type = Vec<String>)]
    pub from: Vec<NodeRoleId>,
}

/// How an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptResult {
    /// It is under way.
    Running,
    /// It worked.
    Succeeded,
    /// It did not.
    Failed,
    /// A person or a newer wish ended it.
    Cancelled,
}

/// Which attempts; the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AttemptsQuery {
    /// Only those of one deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub deployment: Option<DeploymentName>,
    /// Only those of one node-role: `role@node` with a deployment, `deployment/role@node` without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Only those before this one; the same as `page_token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<u64>)]
    pub before: Option<AttemptId>,
    /// At most this many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

/// Which part of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// From this byte on.
    #[serde(default)]
    pub offset: u64,
    /// Goes on until the attempt ended and everything was sent.
    #[serde(default)]
    pub follow: bool,
}

/// A piece of a log: one line of `application/x-ndjson`. To resume, ask from `offset + bytes` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Of which attempt.
    #[schema(value_type = u64)]
    pub attempt: AttemptId,
    /// Bytes of the log before it.
    pub offset: u64,
    /// How many bytes of the log it stands for.
    pub bytes: u64,
    /// Bytes thinned away before it.
    pub lost: u64,
    /// The phase that wrote it.
    #[schema(value_type = Option<String>)]
    pub phase: Option<Phase>,
    /// When.
    pub at: Timestamp,
    /// The text, with its line breaks.
    pub text: String,
}
