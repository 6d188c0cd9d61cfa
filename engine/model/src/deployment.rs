//! A workload version bound to nodes and parameters. Its wishes are a [`DeploymentSpec`] and the parameters of its level; each accepted
//! plan makes a [`Revision`], which never changes. The node-roles of a revision live in `node_role.rs`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Action, Actor, Breaker, DeploymentName, Digest, GroupName, Ident, NodeName, NodeRoleId, ProfileName, RevisionNo,
    RoleName,
};

/// What people wish for: changed freely, made true by the next accepted plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentSpec {
    /// The workload version, pinned by content.
    pub workload: Digest,
    /// The nodes of each group; their place is their ordinal.
    pub groups: BTreeMap<GroupName, Vec<NodeName>>,
    /// The profiles whose parameters it takes.
    pub profiles: Vec<ProfileName>,
}

/// All that a deployment asks for: what a plan is made towards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    /// The workload version and its nodes.
    pub spec: DeploymentSpec,
    /// The parameters of the deployment's own level; a secret as its reference.
    pub parameters: BTreeMap<Ident, Value>,
}

/// A workload version bound to nodes and parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its name.
    pub name: DeploymentName,
    /// What people wish for.
    pub spec: DeploymentSpec,
    /// The last accepted plan; 0 before the first.
    pub revision: RevisionNo,
    /// What the engine is doing with it.
    pub mode: Mode,
    /// Why nothing new starts, if a person paused it.
    pub paused: Option<String>,
    /// Which node holds each `leader` role: elected once, kept while the node is a member.
    pub leaders: BTreeMap<RoleName, NodeName>,
    /// When it was created.
    pub created_at: Timestamp,
    /// How many times it was wiped and rebuilt.
    pub rebuilds: u64,
    /// What stops it when things go wrong.
    #[serde(default)]
    pub breaker: Breaker,
}

/// What the engine is doing with a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Bringing it to its revision.
    Converging,
    /// Undoing everything, to build it again.
    Rebuilding,
    /// Undoing everything, to forget it.
    Destroying,
}

/// An accepted plan: what was asked for, by whom, and what it came to. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Of which deployment.
    pub deployment: DeploymentName,
    /// Its number.
    pub no: RevisionNo,
    /// The wishes that it was made from.
    pub wishes: Wishes,
    /// The earlier revision whose wishes these are again, if it was accepted to go back to that.
    pub restores: Option<RevisionNo>,
    /// The id of the plan.
    pub plan: Digest,
    /// Who accepted it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// The node-roles that it changes.
    pub touched: Vec<Touched>,
}

/// What a revision does with a node-role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// Which one.
    pub id: NodeRoleId,
    /// What happens to it.
    pub action: Action,
}
