//! One machine's container by its node's name: files into it, start, restart, list, remove. Containers that Rebar did not make are
//! left alone.

use std::{collections::HashMap, net::Ipv4Addr, time::Duration};

use bollard::{
    Docker,
    errors::Error,
    models::ContainerSummary,
    query_parameters::{
        InspectContainerOptions, ListContainersOptions, RemoveContainerOptions, RestartContainerOptions,
        StartContainerOptions, UploadToContainerOptions,
    },
};
use bytes::Bytes;
use rebar_model::NodeName;
use rebar_ports::ProviderError;

use super::{
    client::{is_missing, unavailable},
    container::{NETWORK_LABEL, NODE_LABEL},
    network,
};

/// How long a machine may take to shut down before its power is cut, in seconds.
const SHUTDOWN: i32 = 20;
/// Docker sometimes cannot remove a container at once: its removal is under way, or a mount is busy.
const REMOVE_TRIES: u32 = 40;
/// Between two such tries.
const REMOVE_PAUSE: Duration = Duration::from_millis(250);
/// The size of a piece of an upload.
const PIECE: usize = 256 * 1024;

/// A machine of the `docker` provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerMachine {
    /// The name of the node.
    pub name: NodeName,
    /// The name of the container.
    pub container: String,
    /// Its address on the nodes' network.
    pub address: Option<Ipv4Addr>,
    /// What Docker says about it: `running`, `exited`.
    pub state: String,
}

/// The name of a node's container.
pub(super) fn container_name(network: &str, node: &NodeName) -> String {
    format!("rebar-{network}-{node}")
}

/// Something went wrong with this machine.
pub(super) fn failed(node: &NodeName) -> impl Fn(Error) -> ProviderError {
    move |error| ProviderError::Failed { name: node.clone(), detail: error.to_string() }
}

/// Puts files into a machine that does not run yet.
pub(super) async fn upload(docker: &Docker, network: &str, node: &NodeName, files: Bytes) -> Result<(), ProviderError> {
    let options = UploadToContainerOptions { path: "/".to_owned(), ..Default::default() };
    // As a stream, since bollard writes other bodies into its log, and this one holds a token.
    let pieces = futures::stream::unfold(files, |mut rest| async move {
        let piece = rest.split_to(rest.len().min(PIECE));
        (!piece.is_empty()).then_some((piece, rest))
    });
    let name = container_name(network, node);
    docker.upload_to_container(&name, Some(options), bollard::body_stream(pieces)).await.map_err(failed(node))
}

/// Starts a machine.
pub(super) async fn start(docker: &Docker, network: &str, node: &NodeName) -> Result<(), ProviderError> {
    let name = container_name(network, node);
    docker.start_container(&name, None::<StartContainerOptions>).await.map_err(failed(node))
}

/// Restarts a machine.
pub(super) async fn reboot(docker: &Docker, network: &str, node: &NodeName) -> Result<(), ProviderError> {
    let options = RestartContainerOptions { t: Some(SHUTDOWN), ..Default::default() };
    docker.restart_container(&container_name(network, node), Some(options)).await.map_err(failed(node))
}

/// Removes a machine with its volumes; none is no error.
pub(super) async fn remove(docker: &Docker, network: &str, node: &NodeName) -> Result<(), ProviderError> {
    let name = container_name(network, node);
    let mut last = None;
    for _ in 0..REMOVE_TRIES {
        match docker.inspect_container(&name, None::<InspectContainerOptions>).await {
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(failed(node)(error)),
            Ok(present) => {
                let label = present.config.and_then(|it| it.labels?.remove(NODE_LABEL));
                if label.as_deref() != Some(node.as_str()) {
                    let detail = format!("container `{name}` was not made by Rebar and stays; remove it by hand");
                    return Err(ProviderError::Failed { name: node.clone(), detail });
                }
            }
        }
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        match docker.remove_container(&name, Some(options)).await {
            Ok(()) => return Ok(()),
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error @ Error::DockerResponseServerError { status_code: 409 | 500, .. }) => last = Some(error),
            Err(error) => return Err(failed(node)(error)),
        }
        tokio::time::sleep(REMOVE_PAUSE).await;
    }
    last.map_or(Ok(()), |error| Err(failed(node)(error)))
}

/// All machines of a network, by name.
pub(super) async fn list(docker: &Docker, network: &str) -> Result<Vec<DockerMachine>, ProviderError> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{NETWORK_LABEL}={network}")])]);
    let all = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let containers = docker.list_containers(Some(all)).await.map_err(unavailable)?;
    let mut machines: Vec<_> = containers.iter().filter_map(|it| machine(it, network)).collect();
    machines.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(machines)
}

fn machine(container: &ContainerSummary, network: &str) -> Option<DockerMachine> {
    let name: NodeName = container.labels.as_ref()?.get(NODE_LABEL)?.parse().ok()?;
    let address = network::addresses(container, network).first().copied();
    let state = container.state.map(|it| it.to_string()).unwrap_or_default();
    Some(DockerMachine { container: container_name(network, &name), name, address, state })
}
