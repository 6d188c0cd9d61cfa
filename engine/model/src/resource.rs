//! Things outside the nodes that a node-role made and owns: records, addresses, places behind a load balancer, certificates.
//! They go when their owner goes. How they come to be is a service's work behind `rebar-ports`.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{BuiltinAction, Ident, NodeRoleId, Span};

/// The identity of a resource: one a node-role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceId(pub NodeRoleId);

/// Something outside the nodes, owned by a node-role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// The node-role that declared it.
    pub owner: NodeRoleId,
    /// What is wished for.
    pub kind: ResourceKind,
    /// What the service observed, as the outputs of the role; empty until then.
    pub observed: BTreeMap<Ident, Value>,
}

/// What a resource is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ResourceKind {
    /// A DNS record set.
    DnsRecord {
        /// The fully qualified name, without the final dot.
        name: String,
        /// `A`, `AAAA`, `CNAME` or `TXT`.
        record: String,
        /// The values in presentation form.
        values: Vec<String>,
        /// Time to live in seconds.
        ttl: u32,
    },
    /// An address out of a pool.
    IpamAddress {
        /// The pool in CIDR notation.
        pool: String,
        /// Addresses and ranges in CIDR notation that are never given.
        exclude: Vec<String>,
    },
    /// An address and port that the load balancer answers on.
    LbVip {
        /// The address.
        address: IpAddr,
        /// The TCP port.
        port: u16,
        /// `tcp` or `http` with a path.
        check: HealthCheck,
    },
    /// A place behind a VIP.
    LbBackend {
        /// The endpoint of the VIP, `address:port`.
        vip: String,
        /// The address of the backend.
        address: IpAddr,
        /// Its TCP port.
        port: u16,
        /// How long open connections may go on when it is taken away.
        drain_timeout: Span,
        /// When it counts as there.
        ready_when: ReadyWhen,
    },
    /// A certificate authority of the deployment.
    PkiCa {
        /// The subject's common name.
        common_name: String,
    },
    /// A certificate for a key that stays where it is.
    PkiCert {
        /// The authority's certificate in PEM.
        ca: String,
        /// The request in PEM (PKCS #10).
        csr: String,
        /// The subject's common name.
        common_name: String,
        /// DNS names and addresses.
        sans: Vec<String>,
        /// `server`, `client`.
        usages: Vec<String>,
        /// How long it is valid.
        valid_for: Span,
    },
    /// An address that has to answer HTTP requests.
    WaitHttp {
        /// The address.
        url: String,
        /// The status that it has to answer with; by default any below 400.
        status: Option<u16>,
        /// The authority that signed its certificate, in PEM.
        ca_pem: Option<String>,
    },
    /// A port that has to take connections.
    WaitTcp {
        /// The address.
        address: IpAddr,
        /// The TCP port.
        port: u16,
    },
}

/// When a backend counts as there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadyWhen {
    /// Once a health check succeeded: whoever requires it finds it answering.
    #[default]
    Healthy,
    /// Once it was checked, whatever came out: for services that run on some of the nodes, where checks decide who gets connections.
    Checked,
}

/// How the load balancer looks whether a backend is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum HealthCheck {
    /// A TCP connection opens.
    Tcp,
    /// `GET path` answers with a status below 400.
    Http {
        /// The path.
        path: String,
    },
}

impl ResourceKind {
    /// The action that makes it.
    pub fn action(&self) -> BuiltinAction {
        match self {
            Self::DnsRecord { .. } => BuiltinAction::DnsRecord,
            Self::IpamAddress { .. } => BuiltinAction::IpamAddress,
            Self::LbVip { .. } => BuiltinAction::LbVip,
            Self::LbBackend { .. } => BuiltinAction::LbBackend,
            Self::PkiCa { .. } => BuiltinAction::PkiCa,
            Self::PkiCert { .. } => BuiltinAction::PkiCert,
            Self::WaitHttp { .. } => BuiltinAction::WaitHttp,
            Self::WaitTcp { .. } => BuiltinAction::WaitTcp,
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Resource {
    /// Its identity.
    pub fn id(&self) -> ResourceId {
        ResourceId(self.owner.clone())
    }
}
