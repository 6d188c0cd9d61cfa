//! A fact to remember. Changes are the only way that the [`World`](crate::World) moves and the only thing that the store
//! commits; replaying them gives the same World.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Agent, AgentRelease, AgentUpgrade, ApiToken, Attempt, Deployment, DeploymentName, Digest, EnrolToken, Epoch, Ident,
    Node, NodeName, NodeRoleId, NodeRoleSpec, NodeRoleStatus, Parameter, ParameterScope, Resource, ResourceId,
    Revision, Seq, TokenHash, Workload,
};

/// Who caused a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actor(pub String);

impl Actor {
    /// The engine itself.
    pub fn engine() -> Self {
        Self("engine".to_owned())
    }

    /// The agent of a node.
    pub fn agent(node: &NodeName) -> Self {
        Self(format!("agent/{node}"))
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A change with its place in history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its place.
    pub seq: Seq,
    /// When it was decided.
    pub at: Timestamp,
    /// Who caused it.
    pub by: Actor,
    /// What changed.
    pub change: Change,
}

/// A fact to remember. Each variant carries the whole new value of what it names, so that applying one twice is harmless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// A new engine leads.
    EpochBegan {
        /// Its epoch.
        epoch: Epoch,
    },
    /// A node is there, or is different.
    NodePut {
        /// The node.
        node: Box<Node>,
    },
    /// A node is forgotten.
    NodeRemoved {
        /// Its name.
        name: NodeName,
    },
    /// A workload version was imported.
    WorkloadImported {
        /// The workload.
        workload: Arc<Workload>,
    },
    /// A workload version is forgotten.
    WorkloadRemoved {
        /// Its digest.
        digest: Digest,
    },
    /// A parameter was set, or unset with none.
    ParameterSet {
        /// At which level.
        scope: ParameterScope,
        /// Its name.
        name: Ident,
        /// The value.
        parameter: Option<Parameter>,
    },
    /// A deployment is there, or is different.
    DeploymentPut {
        /// The deployment.
        deployment: Box<Deployment>,
    },
    /// A deployment is forgotten.
    DeploymentRemoved {
        /// Its name.
        name: DeploymentName,
    },
    /// A plan was accepted.
    RevisionAccepted {
        /// The revision.
        revision: Box<Revision>,
    },
    /// A node-role is part of the graph, or is wired differently.
    NodeRoleSpecified {
        /// What it is.
        spec: Arc<NodeRoleSpec>,
    },
    /// A node-role moved.
    NodeRoleMoved {
        /// Which one.
        id: NodeRoleId,
        /// Where it stands now.
        status: Box<NodeRoleStatus>,
    },
    /// A node-role is forgotten.
    NodeRoleRemoved {
        /// Which one.
        id: NodeRoleId,
    },
    /// An attempt started, was accepted or ended.
    AttemptPut {
        /// The attempt.
        attempt: Box<Attempt>,
    },
    /// A resource is wished for, or was observed.
    ResourcePut {
        /// The resource.
        resource: Box<Resource>,
    },
    /// A resource is gone.
    ResourceRemoved {
        /// Which one.
        id: ResourceId,
    },
    /// A program of a release of the agent was imported.
    AgentReleasePut {
        /// The release.
        release: Arc<AgentRelease>,
    },
    /// An agent said another version, or moved in an upgrade.
    AgentPut {
        /// The agent.
        agent: Box<Agent>,
    },
    /// The upgrade of the agents began, or stands somewhere else.
    AgentUpgradePut {
        /// The upgrade.
        upgrade: Box<AgentUpgrade>,
    },
    /// An enrolment token was made or used.
    EnrolTokenPut {
        /// The token.
        token: EnrolToken,
    },
    /// An enrolment token is forgotten.
    EnrolTokenRemoved {
        /// Its hash.
        hash: TokenHash,
    },
    /// An operator's token was made.
    ApiTokenPut {
        /// The token.
        token: ApiToken,
    },
    /// An operator's token is worth nothing any more.
    ApiTokenRemoved {
        /// Its hash.
        hash: TokenHash,
    },
}

impl Change {
    /// The deployment that it belongs to, if any.
    pub fn deployment(&self) -> Option<&DeploymentName> {
        match self {
            Self::DeploymentPut { deployment } => Some(&deployment.name),
            Self::DeploymentRemoved { name } => Some(name),
            Self::RevisionAccepted { revision } => Some(&revision.deployment),
            Self::NodeRoleSpecified { spec } => Some(&spec.id.deployment),
            Self::NodeRoleMoved { id, .. } | Self::NodeRoleRemoved { id } => Some(&id.deployment),
            Self::AttemptPut { attempt } => Some(&attempt.node_role.deployment),
            Self::ResourcePut { resource } => Some(&resource.owner.deployment),
            Self::ResourceRemoved { id } => Some(&id.0.deployment),
            Self::ParameterSet { scope: ParameterScope::Deployment(name), .. } => Some(name),
            _ => None,
        }
    }
}
