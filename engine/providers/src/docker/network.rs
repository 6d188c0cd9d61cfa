//! The bridge network of the nodes, and which address each of them gets. An address is fixed for the life of a container, since one
//! that Docker picks can change over a restart.

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
};

use bollard::{
    Docker,
    models::{ContainerSummary, Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect},
    query_parameters::{InspectNetworkOptions, ListContainersOptions},
};
use rebar_ports::ProviderError;

use super::{
    client::{is_missing, unavailable},
    config::DockerConfig,
    container::NETWORK_LABEL,
};

/// Sees to it that the network is there, and as configured.
pub(super) async fn ensure(docker: &Docker, config: &DockerConfig) -> Result<(), ProviderError> {
    if let Some(present) = inspect(docker, &config.network).await? {
        return compare(&present, config);
    }
    tracing::info!(network = config.network, subnet = %config.subnet, "network made");
    if let Err(error) = docker.create_network(request(config)).await {
        // Another engine may have been faster.
        return match inspect(docker, &config.network).await? {
            Some(present) => compare(&present, config),
            None => Err(unavailable(format!("network `{}` with {}: {error}", config.network, config.subnet))),
        };
    }
    Ok(())
}

/// Removes the network, if it is there.
pub(super) async fn remove(docker: &Docker, network: &str) -> Result<(), ProviderError> {
    let Some(present) = inspect(docker, network).await? else { return Ok(()) };
    if !present.labels.is_some_and(|labels| labels.contains_key(NETWORK_LABEL)) {
        return Err(unavailable(format!("network `{network}` was not made by Rebar and stays")));
    }
    match docker.remove_network(network).await {
        Err(error) if !is_missing(&error) => Err(unavailable(error)),
        _ => Ok(()),
    }
}

/// An address that no container of the network has, running or not.
pub(super) async fn free_address(docker: &Docker, config: &DockerConfig) -> Result<Ipv4Addr, ProviderError> {
    let filters = HashMap::from([("network".to_owned(), vec![config.network.clone()])]);
    let all = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let containers = docker.list_containers(Some(all)).await.map_err(unavailable)?;
    let taken = containers.iter().flat_map(|it| addresses(it, &config.network)).collect();
    lowest_free(config, &taken).ok_or_else(|| {
        unavailable(format!("all addresses in {} are taken; remove nodes or widen the range", config.ip_range))
    })
}

/// The addresses that a container has or will have when it runs.
pub(super) fn addresses(container: &ContainerSummary, network: &str) -> Vec<Ipv4Addr> {
    let endpoint = container.network_settings.as_ref().and_then(|it| it.networks.as_ref()?.get(network));
    let fixed = endpoint.and_then(|it| it.ipam_config.as_ref()?.ipv4_address.as_deref());
    let current = endpoint.and_then(|it| it.ip_address.as_deref());
    [fixed, current].into_iter().flatten().filter_map(|it| it.parse().ok()).collect()
}

fn lowest_free(config: &DockerConfig, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
    let DockerConfig { subnet, ip_range, gateway, .. } = config;
    ip_range
        .hosts()
        .find(|it| it != gateway && *it != subnet.network() && *it != subnet.broadcast() && !taken.contains(it))
}

async fn inspect(docker: &Docker, network: &str) -> Result<Option<NetworkInspect>, ProviderError> {
    match docker.inspect_network(network, None::<InspectNetworkOptions>).await {
        Ok(present) => Ok(Some(present)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

fn request(config: &DockerConfig) -> NetworkCreateRequest {
    let range = IpamConfig {
        subnet: Some(config.subnet.trunc().to_string()),
        ip_range: Some(config.ip_range.trunc().to_string()),
        gateway: Some(config.gateway.to_string()),
        auxiliary_addresses: None,
    };
    NetworkCreateRequest {
        name: config.network.clone(),
        driver: Some("bridge".to_owned()),
        ipam: Some(Ipam { driver: None, config: Some(vec![range]), options: None }),
        labels: Some(HashMap::from([(NETWORK_LABEL.to_owned(), config.network.clone())])),
        ..Default::default()
    }
}

fn compare(present: &NetworkInspect, config: &DockerConfig) -> Result<(), ProviderError> {
    let range = present.ipam.as_ref().and_then(|it| it.config.as_ref()?.first());
    let subnet = range.and_then(|it| it.subnet.clone()).unwrap_or_default();
    let gateway = range.and_then(|it| it.gateway.clone()).unwrap_or_default();
    if subnet == config.subnet.trunc().to_string() && gateway == config.gateway.to_string() {
        return Ok(());
    }
    let DockerConfig { network, subnet: wanted, gateway: wanted_gateway, .. } = config;
    Err(unavailable(format!(
        "network `{network}` is there with subnet {subnet} and gateway {gateway}, not {wanted} and {wanted_gateway}; \
         remove it with `docker network rm {network}`, or configure another"
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_handed_out_in_order_and_never_twice() {
        let config = DockerConfig::default();
        let mut taken = BTreeSet::new();
        let mut given = Vec::new();
        while let Some(address) = lowest_free(&config, &taken) {
            taken.insert(address);
            given.push(address);
        }
        assert_eq!(given.first(), Some(&Ipv4Addr::new(172, 30, 0, 2)));
        assert_eq!(given.last(), Some(&Ipv4Addr::new(172, 30, 0, 62)));
        assert_eq!(given.len(), 61);
    }

    #[test]
    fn stopped_containers_keep_their_address() {
        let endpoint = json!({"IPAMConfig": {"IPv4Address": "172.30.0.7"}, "IPAddress": ""});
        let container = json!({"NetworkSettings": {"Networks": {"rebar": endpoint}}});
        let container: ContainerSummary = serde_json::from_value(container).unwrap();
        assert_eq!(addresses(&container, "rebar"), [Ipv4Addr::new(172, 30, 0, 7)]);
        assert!(addresses(&container, "other").is_empty());
    }

    #[test]
    fn a_network_that_differs_is_refused() {
        let config = DockerConfig::default();
        let made = request(&config);
        let mut present = NetworkInspect { ipam: made.ipam, labels: made.labels, ..Default::default() };
        assert!(compare(&present, &config).is_ok());
        present.ipam = None;
        let error = compare(&present, &config).unwrap_err().to_string();
        assert!(error.contains("docker network rm rebar"), "{error}");
    }
}
