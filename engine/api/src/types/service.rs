//! What the services outside the nodes have.

use rebar_orchestrator::ServiceKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceName {
    /// Names.
    Dns,
    /// Addresses.
    Ipam,
    /// Load balancer.
    Lb,
    /// Certificates.
    Pki,
}

/// What a service has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceView {
    /// Which one.
    pub service: ServiceName,
    /// What it has, as it tells people; null if this engine does not run it.
    pub listing: Value,
}

impl From<ServiceName> for ServiceKind {
    fn from(name: ServiceName) -> Self {
        match name {
            ServiceName::Dns => Self::Dns,
            ServiceName::Ipam => Self::Ipam,
            ServiceName::Lb => Self::Lb,
            ServiceName::Pki => Self::Pki,
        }
    }
}
