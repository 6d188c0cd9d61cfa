//! A workload version bound to nodes and parameters. Its wishes are a [`DeploymentSpec`]; each accepted plan makes a
//! [`Revision`]. The node-roles of a revision live in `node_role.rs`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Actor, DeploymentName, Digest, GroupName, NodeName, NodeRoleId, ProfileName, RevisionNo, RoleName};

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

/// An accepted plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Of which deployment.
    pub deployment: DeploymentName,
    /// Its number.
    pub no: RevisionNo,
    /// The wishes that it was made from.
    pub spec: DeploymentSpec,
    /// The id of the plan.
    pub plan: Digest,
    /// Who accepted it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// The node-roles that it changes.
    pub touched: Vec<NodeRoleId>,
}
