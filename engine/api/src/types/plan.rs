//! The resolved graph of a deployment's next revision, in a shape for people: what happens to which node-role, and why.

use std::collections::BTreeMap;

use rebar_model::{
    Action, DeploymentName, DeploymentSpec, Difference, Digest, GroupName, Ident, NodeName, NodeRoleId, RevisionNo,
    RoleName,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::WorkloadRef;

/// The resolved graph of a deployment's next revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// What to apply it by; equal plans have equal ids.
    #[schema(value_type = String)]
    pub id: Digest,
    /// Of which deployment.
    #[schema(value_type = String)]
    pub deployment: DeploymentName,
    /// The revision that it starts from.
    #[schema(value_type = u64)]
    pub base: RevisionNo,
    /// The workload version.
    pub workload: WorkloadRef,
    /// The wishes that it was made from.
    #[schema(value_type = Object)]
    pub spec: DeploymentSpec,
    /// Which node holds each `leader` role.
    #[schema(value_type = BTreeMap<String, String>)]
    pub leaders: BTreeMap<RoleName, NodeName>,
    /// How many steps there are of each action.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub counts: BTreeMap<Action, usize>,
    /// Whether applying it changes anything.
    pub changes: bool,
    /// Whether applying it changes what is wished for.
    pub rewishes: bool,
    /// The roles that wipe data and have to be granted by name.
    #[schema(value_type = Vec<String>)]
    pub destructive: Vec<RoleName>,
    /// The roles that keep what must not be lost, and of which something is or may be taken away: they have to be named.
    #[schema(value_type = Vec<String>)]
    pub protected: Vec<RoleName>,
    /// Every node-role, in an order in which they could run.
    pub steps: Vec<PlanStepView>,
}

/// One node-role of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanStepView {
    /// Which one.
    #[schema(value_type = String)]
    pub id: NodeRoleId,
    /// Its address in its deployment.
    pub address: String,
    /// The role.
    #[schema(value_type = String)]
    pub role: RoleName,
    /// The node; none for a role of the deployment itself.
    #[schema(value_type = Option<String>)]
    pub node: Option<NodeName>,
    /// The group that brought the role to the node.
    #[schema(value_type = Option<String>)]
    pub group: Option<GroupName>,
    /// The place of the node in its group, from 0.
    pub ordinal: u32,
    /// How deep in the graph: steps of one depth do not wait for each other.
    pub depth: u32,
    /// What happens to it: `create`, `change`, `maybe`, `keep`, `retire`, `forget`.
    #[schema(value_type = String)]
    pub action: Action,
    /// Whether it wipes data.
    pub destructive: bool,
    /// Whether what stands there is taken away, or may be.
    pub undoes: bool,
    /// Why, one line each.
    pub why: Vec<String>,
    /// What differs from what was applied; secrets masked.
    #[schema(value_type = Vec<Object>)]
    pub differences: Vec<Difference>,
    /// The node-roles that it waits for.
    #[schema(value_type = Vec<String>)]
    pub requires: Vec<NodeRoleId>,
}

/// Wishes that a plan is made towards in place of those of now. What is left out stays, or is as in the revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TowardsRequest {
    /// An earlier revision, to go back to all that was wished for then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub revision: Option<RevisionNo>,
    /// The workload version: `name@version`, a digest, or a name of which there is one version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Parameters of the deployment's own level, `null` for one that is not set any more. A secret is set beforehand, at its level.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Object>)]
    pub parameters: BTreeMap<Ident, Option<Value>>,
}

/// A plan to accept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// Its id.
    #[schema(value_type = String)]
    pub plan: Digest,
    /// The destructive roles that may run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub grants: Vec<RoleName>,
    /// The protected roles of which something may be taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub allow_protected: Vec<RoleName>,
    /// What it was made towards, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub towards: Option<TowardsRequest>,
}
