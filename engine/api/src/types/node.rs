//! Machines under care, as people see and change them.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use rebar_model::{DeploymentName, Node, NodeName, ProfileName, ProviderKind};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A machine under care.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    /// The node itself: provider, labels, profiles, mode, facts, connection.
    #[schema(value_type = Object)]
    pub node: Node,
    /// Whether work can start on it, in one word.
    pub standing: NodeStanding,
    /// The address that others reach it at.
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// The deployments that use it.
    #[schema(value_type = Vec<String>)]
    pub deployments: Vec<DeploymentName>,
    /// How many node-roles have an attempt under way on it.
    pub running: usize,
}

/// Whether work can start on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodeStanding {
    /// It can.
    Ready,
    /// Its agent never came.
    Expected,
    /// Its agent was here, and is not.
    Away,
    /// A person said no.
    Maintenance,
}

/// Which nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NodesQuery {
    /// Only those with these labels: `rack=b2,tier!=db,gpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// At most this many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

/// A machine to take under care.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddNodeRequest {
    /// Its name, also in DNS.
    #[schema(value_type = String)]
    pub name: NodeName,
    /// Who makes it: `docker`, `namespace` or `join`.
    #[schema(value_type = String)]
    pub provider: ProviderKind,
    /// Free labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The profiles whose parameters it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub profiles: Vec<ProfileName>,
    /// Options of the provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// A machine that is under care now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AddedNodeView {
    /// The node.
    pub node: NodeView,
    /// What a person has to do for it to come, where the provider cannot do it.
    pub instruction: Option<String>,
}

/// What to change of a node; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeNode {
    /// Labels to set, or with null to unset.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Option<String>>,
    /// All its profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub profiles: Option<Vec<ProfileName>>,
    /// Starts maintenance, or with null ends it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_or_value")]
    #[schema(value_type = Option<MaintenanceRequest>)]
    pub maintenance: Option<Option<MaintenanceRequest>>,
}

/// Nothing new starts on the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceRequest {
    /// Why.
    pub reason: String,
}

/// How a node leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RemoveNodeQuery {
    /// It is gone for good: its node-roles are forgotten without being undone.
    #[serde(default)]
    pub gone: bool,
    /// The protected roles that may be forgotten with it, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_protected: Option<String>,
}

/// What a new agent of a node enrols with, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentView {
    /// The node.
    #[schema(value_type = String)]
    pub node: NodeName,
    /// Where agents find the engine, `host:port`.
    pub engine: String,
    /// The one-time token; shown this once.
    pub token: String,
    /// SHA-256 of the engine's CA certificate, in hexadecimal.
    pub ca_fingerprint: String,
    /// When the token is worth nothing any more.
    pub expires_at: Timestamp,
    /// What to do on the machine.
    pub instruction: String,
}

/// Null is a value of its own here, unlike a key that is left out.
fn null_or_value<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
