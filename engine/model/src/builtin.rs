//! The signatures of the builtin actions, as data: what the linter checks roles against and the planner fills in. What the
//! actions do is the business of the service drivers.

use serde_json::{Value, json};

use crate::BuiltinAction;

/// The type of a builtin's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortType {
    /// A text.
    Text,
    /// One of a few texts.
    Choice(&'static [&'static str]),
    /// A whole number.
    Integer,
    /// A list of texts.
    Texts,
    /// A mapping.
    Object,
}

/// A port of a builtin action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltinPort {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: PortType,
    /// Whether an input has to be declared; outputs are declared as a role likes.
    pub required: bool,
    /// What it is, for help texts and docs.
    pub about: &'static str,
}

/// The signature of a builtin action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltinPorts {
    /// What it takes.
    pub inputs: &'static [BuiltinPort],
    /// What it gives.
    pub outputs: &'static [BuiltinPort],
}

const fn needs(name: &'static str, kind: PortType, about: &'static str) -> BuiltinPort {
    BuiltinPort { name, kind, required: true, about }
}

const fn may(name: &'static str, kind: PortType, about: &'static str) -> BuiltinPort {
    BuiltinPort { name, kind, required: false, about }
}

const IPAM_ADDRESS: BuiltinPorts = BuiltinPorts {
    inputs: &[
        needs("pool", PortType::Text, "the pool to take the address from"),
        may("exclude", PortType::Texts, "addresses that are never given out"),
    ],
    outputs: &[
        may("address", PortType::Text, "the address"),
        may("prefix_length", PortType::Integer, "the length of its network prefix"),
    ],
};

const DNS_RECORD: BuiltinPorts = BuiltinPorts {
    inputs: &[
        needs("name", PortType::Text, "the name, relative to the zone or fully qualified"),
        may("type", PortType::Text, "the record type; by default A or AAAA, as the values are"),
        needs("values", PortType::Texts, "the data of the records"),
        may("ttl", PortType::Integer, "seconds that resolvers may keep it"),
    ],
    outputs: &[may("fqdn", PortType::Text, "the fully qualified name")],
};

const LB_VIP: BuiltinPorts = BuiltinPorts {
    inputs: &[
        needs("address", PortType::Text, "the address to listen on"),
        needs("port", PortType::Integer, "the port to listen on"),
        may("check", PortType::Object, "how backends are checked"),
    ],
    outputs: &[
        may("endpoint", PortType::Text, "address and port, as `address:port`"),
        may("address", PortType::Text, "the address"),
        may("port", PortType::Integer, "the port"),
    ],
};

const LB_BACKEND: BuiltinPorts = BuiltinPorts {
    inputs: &[
        needs("vip", PortType::Text, "the endpoint of the VIP"),
        needs("address", PortType::Text, "the address of the backend"),
        needs("port", PortType::Integer, "the port of the backend"),
        may("drain_timeout", PortType::Text, "how long connections may take to end before it goes"),
        may("ready_when", PortType::Text, "`healthy` once a check succeeded, `checked` once it was checked at all"),
    ],
    outputs: &[may("endpoint", PortType::Text, "address and port of the backend, as `address:port`")],
};

const PKI_CA: BuiltinPorts = BuiltinPorts {
    inputs: &[needs("common_name", PortType::Text, "the name in the certificate")],
    outputs: &[may("ca_pem", PortType::Text, "the certificate of the authority, in PEM")],
};

const PKI_CERT: BuiltinPorts = BuiltinPorts {
    inputs: &[
        needs("ca", PortType::Text, "the certificate of the authority that signs, in PEM"),
        needs("csr", PortType::Text, "the signing request, in PEM; its key stays where it is"),
        needs("common_name", PortType::Text, "the name in the certificate"),
        needs("sans", PortType::Texts, "further names and addresses"),
        needs("usages", PortType::Texts, "what it may be used for: `server`, `client`"),
        may("valid_for", PortType::Text, "how long it is valid, such as `365d`"),
    ],
    outputs: &[
        may("cert_pem", PortType::Text, "the certificate, in PEM"),
        may("serial", PortType::Text, "its serial number, in hexadecimal digits"),
    ],
};

const WAIT_HTTP: BuiltinPorts = BuiltinPorts {
    inputs: &[
        needs("url", PortType::Text, "the address that is asked with GET, `http://` or `https://`"),
        may("status", PortType::Integer, "the status that it has to answer with; by default any below 400"),
        may("ca_pem", PortType::Text, "the authority that signed its certificate, in PEM; of `https` alone"),
        may("timeout", PortType::Text, "how long it may take until it answers, such as `5m`"),
    ],
    outputs: &[may("url", PortType::Text, "the address")],
};

const WAIT_TCP: BuiltinPorts = BuiltinPorts {
    inputs: &[
        needs("address", PortType::Text, "the address that is connected to"),
        needs("port", PortType::Integer, "the port that is connected to"),
        may("timeout", PortType::Text, "how long it may take until it answers, such as `5m`"),
    ],
    outputs: &[may("endpoint", PortType::Text, "address and port, as `address:port`")],
};

/// The agent needs nothing to know for it, and has nothing to tell.
const NODE_REBOOT: BuiltinPorts = BuiltinPorts { inputs: &[], outputs: &[] };

impl BuiltinAction {
    /// Its signature; none while nothing carries it out.
    pub const fn ports(self) -> Option<&'static BuiltinPorts> {
        Some(match self {
            Self::IpamAddress => &IPAM_ADDRESS,
            Self::DnsRecord => &DNS_RECORD,
            Self::LbVip => &LB_VIP,
            Self::LbBackend => &LB_BACKEND,
            Self::PkiCa => &PKI_CA,
            Self::PkiCert => &PKI_CERT,
            Self::NodeReboot => &NODE_REBOOT,
            Self::WaitHttp => &WAIT_HTTP,
            Self::WaitTcp => &WAIT_TCP,
            Self::OsInstall | Self::BmcPower => return None,
        })
    }
}

impl PortType {
    /// The JSON Schema of its values.
    pub fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Choice(choices) => json!({"type": "string", "enum": choices}),
            Self::Integer => json!({"type": "integer"}),
            Self::Texts => json!({"type": "array", "items": {"type": "string"}}),
            Self::Object => json!({"type": "object"}),
        }
    }
}
