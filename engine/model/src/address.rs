//! Addresses of node-roles, as people type them: `kubelet@prod-w-17` inside a deployment, `prod/kubelet@prod-w-17` anywhere.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{DeploymentName, InvalidName, NodeName, RoleName};

/// Where a role stands: on a node, or on the deployment itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// On the deployment itself.
    Deployment,
    /// On one node.
    Node(NodeName),
}

/// The identity of a node-role: the same through all its revisions and attempts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeRoleId {
    /// The deployment that it is part of.
    pub deployment: DeploymentName,
    /// The role.
    pub role: RoleName,
    /// Where.
    pub target: Target,
}

/// A text that is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// The shape is wrong.
    #[error(
        "`{0}` is not an address: write deployment/role@node, or deployment/role for a role of the deployment itself"
    )]
    Shape(String),
    /// One of its names is wrong.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

impl NodeRoleId {
    /// The node, unless it stands on the deployment itself.
    pub fn node(&self) -> Option<&NodeName> {
        match &self.target {
            Target::Deployment => None,
            Target::Node(node) => Some(node),
        }
    }

    /// The address inside its deployment: `role@node`, or `role@deployment` for a role of the deployment itself.
    pub fn local(&self) -> String {
        match &self.target {
            Target::Deployment => format!("{}@{}", self.role, self.deployment),
            Target::Node(node) => format!("{}@{node}", self.role),
        }
    }
}

impl fmt::Display for NodeRoleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Deployment => write!(f, "{}/{}", self.deployment, self.role),
            Target::Node(node) => write!(f, "{}/{}@{node}", self.deployment, self.role),
        }
    }
}

impl FromStr for NodeRoleId {
    type Err = ParseAddressError;
    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let (deployment, rest) = text.split_once('/').ok_or_else(|| ParseAddressError::Shape(text.to_owned()))?;
        let deployment = DeploymentName::new(deployment)?;
        let (role, target) = match rest.split_once('@') {
            None => (rest, Target::Deployment),
            Some((role, node)) => (role, Target::Node(NodeName::new(node)?)),
        };
        Ok(Self { deployment, role: RoleName::new(role)?, target })
    }
}

impl Serialize for NodeRoleId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeRoleId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in ["prod/kubelet@prod-w-17", "demo/swarm-dns"] {
            assert_eq!(text.parse::<NodeRoleId>().unwrap().to_string(), text);
        }
        for bad in ["kubelet", "prod/", "/x", "prod/kubelet@", "Prod/x"] {
            assert!(bad.parse::<NodeRoleId>().is_err(), "{bad}");
        }
    }
}
