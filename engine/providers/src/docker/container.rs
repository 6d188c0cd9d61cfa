//! The description of a node's container: what `docker create` would be told. The reasons for the flags are in `image/README.md`.

use std::{collections::HashMap, net::Ipv4Addr};

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, HostConfigCgroupnsModeEnum,
    NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};
use rebar_model::NodeName;

use super::{config::DockerConfig, options::Options};

/// Says which node a container is.
pub(super) const NODE_LABEL: &str = "dev.rebar.node";
/// Says which network a container or network is of.
pub(super) const NETWORK_LABEL: &str = "dev.rebar.network";

/// One node's container.
pub(super) struct Container<'a> {
    pub(super) config: &'a DockerConfig,
    pub(super) node: &'a NodeName,
    pub(super) address: Ipv4Addr,
    pub(super) options: &'a Options,
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&it| it.to_owned()).collect()
}

impl Container<'_> {
    /// The request that makes it.
    pub(super) fn body(&self) -> ContainerCreateBody {
        let labels = [(NODE_LABEL, self.node.as_str()), (NETWORK_LABEL, &self.config.network)];
        ContainerCreateBody {
            hostname: Some(self.node.to_string()),
            image: Some(self.options.image.clone().unwrap_or_else(|| self.config.image.clone())),
            labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
            volumes: Some(texts(&["/var/lib/docker"])),
            stop_signal: Some("SIGRTMIN+3".to_owned()),
            host_config: Some(self.host()),
            networking_config: Some(self.network()),
            ..Default::default()
        }
    }

    fn host(&self) -> HostConfig {
        let tmpfs = [("/run", "exec,mode=755"), ("/tmp", "")];
        HostConfig {
            network_mode: Some(self.config.network.clone()),
            dns: Some(vec![self.config.gateway.to_string()]),
            cap_add: Some(texts(&["SYS_ADMIN", "NET_ADMIN"])),
            security_opt: Some(texts(&["seccomp=unconfined", "apparmor=unconfined"])),
            // What `--security-opt systempaths=unconfined` means to the API.
            masked_paths: Some(Vec::new()),
            readonly_paths: Some(Vec::new()),
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            tmpfs: Some(tmpfs.into_iter().map(|(path, how)| (path.to_owned(), how.to_owned())).collect()),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            memory: self.options.memory,
            nano_cpus: self.options.nano_cpus,
            ..Default::default()
        }
    }

    fn network(&self) -> NetworkingConfig {
        let address = EndpointIpamConfig { ipv4_address: Some(self.address.to_string()), ..Default::default() };
        let endpoint = EndpointSettings { ipam_config: Some(address), ..Default::default() };
        NetworkingConfig { endpoints_config: Some(HashMap::from([(self.config.network.clone(), endpoint)])) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_what_the_readme_says() {
        let config = DockerConfig::default();
        let options = Options { memory: Some(1 << 30), ..Options::default() };
        let node = NodeName::new("n1").unwrap();
        let container =
            Container { config: &config, node: &node, address: Ipv4Addr::new(172, 30, 0, 2), options: &options };
        let body = serde_json::to_value(container.body()).unwrap();
        assert_eq!(body["Hostname"], "n1");
        assert_eq!(body["Image"], "rebar-node:bookworm");
        assert_eq!(body["Labels"], json!({"dev.rebar.node": "n1", "dev.rebar.network": "rebar"}));
        assert_eq!(body["Volumes"], json!({"/var/lib/docker": {}}));
        assert_eq!(body["StopSignal"], "SIGRTMIN+3");
        let host = &body["HostConfig"];
        assert_eq!(host["CapAdd"], json!(["SYS_ADMIN", "NET_ADMIN"]));
        assert_eq!(host["SecurityOpt"], json!(["seccomp=unconfined", "apparmor=unconfined"]));
        assert_eq!((&host["MaskedPaths"], &host["ReadonlyPaths"]), (&json!([]), &json!([])));
        assert_eq!(host["CgroupnsMode"], "private");
        assert_eq!(host["Tmpfs"], json!({"/run": "exec,mode=755", "/tmp": ""}));
        assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
        assert_eq!(host["Dns"], json!(["172.30.0.1"]));
        assert_eq!(host["Memory"], 1 << 30);
        assert!(host.get("Privileged").is_none());
        let endpoint = &body["NetworkingConfig"]["EndpointsConfig"]["rebar"];
        assert_eq!(endpoint["IPAMConfig"]["IPv4Address"], "172.30.0.2");
    }
}
