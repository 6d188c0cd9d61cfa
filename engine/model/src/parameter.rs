//! Parameter values and the levels that set them: node over deployment over profile over global over the workload's default.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::{Actor, DeploymentName, InvalidName, NodeName, ProfileName};

/// The level at which a parameter is set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParameterScope {
    /// For everything.
    Global,
    /// For the nodes and deployments that take the profile.
    Profile(ProfileName),
    /// For one deployment.
    Deployment(DeploymentName),
    /// For one node.
    Node(NodeName),
}

/// A value that somebody set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// The value; a secret as its reference.
    pub value: Value,
    /// Who set it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
}

/// One hop on the way to a value, for `rebar attr why`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// The level in words: `workload default docker-swarm@0.1.0`, `profile rack-b7`, `deployment demo`.
    pub level: String,
    /// The value at this level; none if it does not set one.
    pub value: Option<Value>,
    /// Who set it, where known.
    pub by: Option<Actor>,
    /// When, where known.
    pub at: Option<Timestamp>,
    /// Whether this is the level that decides.
    pub wins: bool,
}

impl fmt::Display for ParameterScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Profile(name) => write!(f, "profile/{name}"),
            Self::Deployment(name) => write!(f, "deployment/{name}"),
            Self::Node(name) => write!(f, "node/{name}"),
        }
    }
}

impl FromStr for ParameterScope {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let expected = "write global, profile/NAME, deployment/NAME or node/NAME";
        match text.split_once('/') {
            None if text == "global" => Ok(Self::Global),
            Some(("profile", name)) => Ok(Self::Profile(name.parse()?)),
            Some(("deployment", name)) => Ok(Self::Deployment(name.parse()?)),
            Some(("node", name)) => Ok(Self::Node(name.parse()?)),
            _ => Err(InvalidName { text: text.to_owned(), expected }),
        }
    }
}

impl Serialize for ParameterScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ParameterScope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
