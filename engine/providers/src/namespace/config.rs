//! How the `namespace` provider is set up: its network, where it keeps its nodes, where their agent comes from. What it looks for on
//! the machine is in `host.rs`.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use ipnet::Ipv4Net;
use rebar_model::NodeName;
use rebar_ports::ProviderError;

use super::host::unavailable;

/// The longest name that the kernel gives an interface: `IFNAMSIZ` less its end.
const MAX_INTERFACE: usize = 15;

/// Where light nodes are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceConfig {
    /// The name of the bridge, and part of the names of everything else.
    pub network: String,
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// The addresses in it that nodes get; the rest is free for load balancers.
    pub range: Ipv4Net,
    /// The engine's own address in it, where its DNS server listens.
    pub gateway: Ipv4Addr,
    /// Where nodes find the engine, where they do not find it at the address of their ticket.
    pub engine: Option<String>,
    /// Where nodes are kept, a folder a network: on a file system that overlayfs can write to.
    pub state: PathBuf,
    /// Where sockets and pid files are kept, a folder a network.
    pub run: PathBuf,
    /// The agent that every node gets.
    pub agent_binary: PathBuf,
}

impl Default for NamespaceConfig {
    fn default() -> Self {
        Self {
            network: "rebar-light".into(),
            subnet: Ipv4Net::new_assert(Ipv4Addr::new(172, 31, 0, 0), 16),
            range: Ipv4Net::new_assert(Ipv4Addr::new(172, 31, 0, 0), 17),
            gateway: Ipv4Addr::new(172, 31, 0, 1),
            engine: None,
            state: "/var/lib/rebar-nodes".into(),
            run: "/run/rebar-nodes".into(),
            agent_binary: "/usr/local/bin/rebar-agent".into(),
        }
    }
}

impl NamespaceConfig {
    /// Whether it makes sense.
    pub(super) fn validate(&self) -> Result<(), ProviderError> {
        let Self { network, subnet, range, gateway, .. } = self;
        if NodeName::new(network).is_err() || network.len() > MAX_INTERFACE {
            return Err(unavailable(format!(
                "`{network}` is not a name for a bridge: use at most {MAX_INTERFACE} lower-case letters, digits and dashes"
            )));
        }
        if !subnet.contains(range) {
            return Err(unavailable(format!("the range {range} is not part of the subnet {subnet}")));
        }
        if !subnet.contains(gateway) {
            return Err(unavailable(format!("the gateway {gateway} is not in the subnet {subnet}")));
        }
        for path in [&self.state, &self.run] {
            let plain = |it: char| it.is_alphanumeric() || "/-_.".contains(it);
            if !path.is_absolute() || !path.to_str().is_some_and(|it| it.chars().all(plain)) {
                return Err(unavailable(format!(
                    "{} cannot hold nodes: name an absolute path of letters, digits, dashes, dots and underscores",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Everything of this network that outlives a reboot of the machine.
    pub(super) fn folder(&self) -> PathBuf {
        self.state.join(&self.network)
    }

    /// The folders of all nodes.
    pub(super) fn nodes(&self) -> PathBuf {
        self.folder().join("nodes")
    }

    /// Everything of one node.
    pub(super) fn node(&self, name: &NodeName) -> PathBuf {
        self.nodes().join(name.as_str())
    }

    /// What nodes and their containerd see as `/run/containerd`.
    pub(super) fn runtime(&self) -> PathBuf {
        self.run.join(&self.network)
    }

    /// The name of a node's network namespace, and what people are told of the machine.
    pub(super) fn machine(&self, name: &NodeName) -> String {
        format!("rebar-{}-{name}", self.network)
    }

    /// A node's cgroup, below where a hierarchy is mounted.
    pub(super) fn cgroup(&self, name: &str) -> PathBuf {
        Path::new("rebar").join(&self.network).join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused() {
        let good = NamespaceConfig::default();
        assert!(good.validate().is_ok());
        for bad in [
            NamespaceConfig { network: "a b".into(), ..good.clone() },
            NamespaceConfig { network: "a-name-too-long-for-linux".into(), ..good.clone() },
            NamespaceConfig { range: "172.30.0.0/17".parse().unwrap(), ..good.clone() },
            NamespaceConfig { gateway: Ipv4Addr::new(10, 0, 0, 1), ..good.clone() },
            NamespaceConfig { state: "nodes".into(), ..good.clone() },
            NamespaceConfig { state: "/a:b,c".into(), ..good },
        ] {
            assert!(matches!(bad.validate(), Err(ProviderError::Unavailable { provider: "namespace", .. })), "{bad:?}");
        }
    }
}
