//! How the `docker` provider is set up: where Docker is, on which network nodes live, where their files come from.

use std::{net::Ipv4Addr, path::PathBuf};

use ipnet::Ipv4Net;
use rebar_model::NodeName;
use rebar_ports::ProviderError;

use super::client::unavailable;

/// Where nodes are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerConfig {
    /// The socket of Docker Engine.
    pub socket: PathBuf,
    /// The name of the bridge network, and part of the names of containers.
    pub network: String,
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// The addresses in it that nodes get; the rest is free for load balancers.
    pub ip_range: Ipv4Net,
    /// The engine's own address in it, where its DNS server listens.
    pub gateway: Ipv4Addr,
    /// The tag of the node image, which is made when it is missing.
    pub image: String,
    /// Where the image is kept between two builds.
    pub cache: PathBuf,
    /// The agent that is put into every node.
    pub agent_binary: PathBuf,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            socket: "/var/run/docker.sock".into(),
            network: "rebar".into(),
            subnet: Ipv4Net::new_assert(Ipv4Addr::new(172, 30, 0, 0), 24),
            ip_range: Ipv4Net::new_assert(Ipv4Addr::new(172, 30, 0, 0), 26),
            gateway: Ipv4Addr::new(172, 30, 0, 1),
            image: "rebar-node:bookworm".into(),
            cache: "/var/cache/rebar/images".into(),
            agent_binary: "/usr/local/bin/rebar-agent".into(),
        }
    }
}

impl DockerConfig {
    /// Whether it makes sense.
    pub(super) fn validate(&self) -> Result<(), ProviderError> {
        let Self { network, subnet, ip_range, gateway, .. } = self;
        if NodeName::new(network).is_err() {
            return Err(unavailable(format!(
                "`{network}` is not a name for a network: use lower-case letters, digits and dashes"
            )));
        }
        if !subnet.contains(ip_range) {
            return Err(unavailable(format!("the range {ip_range} is not part of the subnet {subnet}")));
        }
        if !subnet.contains(gateway) {
            return Err(unavailable(format!("the gateway {gateway} is not in the subnet {subnet}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_cannot_be_are_refused() {
        let good = DockerConfig::default();
        assert!(good.validate().is_ok());
        for bad in [
            DockerConfig { network: "a b".into(), ..good.clone() },
            DockerConfig { ip_range: "172.31.0.0/26".parse().unwrap(), ..good.clone() },
            DockerConfig { ip_range: "172.30.0.0/16".parse().unwrap(), ..good.clone() },
            DockerConfig { gateway: Ipv4Addr::new(10, 0, 0, 1), ..good },
        ] {
            assert!(matches!(bad.validate(), Err(ProviderError::Unavailable { provider: "docker", .. })), "{bad:?}");
        }
    }
}
