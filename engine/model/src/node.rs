//! A machine under Rebar's care: labels, facts, mode, provider and connection. How one is made and destroyed is a provider's
//! work behind `rebar-ports`.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{NodeName, ProfileName};

/// A machine under Rebar's care.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name, also in DNS.
    pub name: NodeName,
    /// Who made it.
    pub provider: ProviderKind,
    /// What the provider calls it.
    pub machine: Option<String>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// The profiles whose parameters it takes.
    pub profiles: Vec<ProfileName>,
    /// Whether new work may start on it.
    pub mode: NodeMode,
    /// What its agent reported last.
    pub facts: Option<Facts>,
    /// Whether its agent is here.
    pub connection: Connection,
    /// When it was added.
    pub added_at: Timestamp,
}

/// The providers that Rebar ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderKind {
    /// A systemd container on the engine's own Docker.
    Docker,
    /// An existing machine that enrolled itself.
    Join,
    /// A light node: namespaces on the engine's own machine.
    Namespace,
}

/// Whether new work may start on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum NodeMode {
    /// It may.
    Ready,
    /// A person said no; what runs goes on.
    Maintenance {
        /// Why.
        reason: String,
    },
}

/// Whether a node's agent is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Connection {
    /// It never came.
    Never,
    /// It is here.
    Here {
        /// Since when.
        since: Timestamp,
    },
    /// It was here.
    Away {
        /// Since when it is not.
        since: Timestamp,
    },
}

impl Node {
    /// Whether its agent is here.
    pub fn is_here(&self) -> bool {
        matches!(self.connection, Connection::Here { .. })
    }

    /// A fact by its dotted path, as inputs name it.
    pub fn fact(&self, path: &str) -> Option<Value> {
        if path == "name" {
            return Some(Value::String(self.name.to_string()));
        }
        if let Some(label) = path.strip_prefix("labels.") {
            return self.labels.get(label).cloned().map(Value::String);
        }
        let facts = serde_json::to_value(self.facts.as_ref()?).ok()?;
        let found = path.split('.').try_fold(&facts, |value, key| value.get(key))?;
        (!found.is_null()).then(|| found.clone())
    }

    /// The address that others reach it at.
    pub fn primary_address(&self) -> Option<IpAddr> {
        self.facts.as_ref()?.addresses.primary
    }
}

/// What an agent reports about its machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The kernel's host name.
    pub hostname: String,
    /// Operating system.
    pub os: Os,
    /// Processor architecture, as Debian names it: `amd64`, `arm64`.
    pub arch: String,
    /// Processors.
    pub cpu: Cpu,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// Block devices.
    pub disks: Vec<Disk>,
    /// Network interfaces.
    pub nics: Vec<Nic>,
    /// Addresses.
    pub addresses: Addresses,
    /// Changes with every boot.
    pub boot_id: String,
    /// The version of the agent.
    pub agent_version: String,
    /// `none`, or the kind of virtual machine or container.
    pub virtualization: String,
    /// What process 1 is: `systemd`, `init`, or `runsvdir` on a light node.
    pub init: String,
}

/// Operating system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Os {
    /// `debian`, as in os-release(5).
    pub id: String,
    /// `12`, as in os-release(5).
    pub version: String,
    /// For people.
    pub name: String,
    /// The kernel's release.
    pub kernel: String,
}

/// Processors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// How many logical ones.
    pub count: u32,
    /// For people.
    pub model: String,
}

/// Addresses of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Addresses {
    /// That of the route to the engine.
    pub primary: Option<IpAddr>,
    /// All global ones.
    pub all: Vec<IpAddr>,
}

/// A block device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// The kernel's name.
    pub name: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Whether it spins.
    pub rotational: bool,
    /// For people.
    pub model: String,
}

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Nic {
    /// The kernel's name.
    pub name: String,
    /// Hardware address.
    pub mac: String,
    /// Addresses with prefix length.
    pub addresses: Vec<String>,
    /// Whether its link is up.
    pub up: bool,
}
