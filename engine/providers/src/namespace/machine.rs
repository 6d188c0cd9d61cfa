//! One light node: its start, which ends when process 1 is about to run, and its end, which takes everything away. Both are made of
//! commands that wait, so they are called where waiting harms nobody.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    process::Stdio,
};

use rebar_model::NodeName;
use rebar_ports::{MachineRequest, ProviderError};

use super::{NamespaceConfig, cgroup, files, host, network, runtime};

/// How many lines of what a node said at its start an error quotes.
const QUOTED_LINES: usize = 5;

/// Something went wrong with this machine.
pub(super) fn failed(node: &NodeName, detail: impl ToString) -> ProviderError {
    ProviderError::Failed { name: node.clone(), detail: detail.to_string() }
}

/// Makes a node that is not there, and starts it.
pub(super) fn make(config: &NamespaceConfig, request: &MachineRequest, address: Ipv4Addr) -> Result<(), ProviderError> {
    let node = &request.name;
    let trouble = |error: std::io::Error| failed(node, error);
    let cgroups = cgroup::all(&config.cgroup(node.as_str())).map_err(trouble)?;
    cgroup::make(&cgroups).map_err(trouble)?;
    files::node(config, request, address, &cgroups).map_err(trouble)?;
    network::make_link(config, node, address).map_err(|said| failed(node, said))?;
    boot(config, node)
}

/// Starts a node, and waits until its process 1 is about to run. It is nobody's child, so that it outlives the engine.
fn boot(config: &NamespaceConfig, node: &NodeName) -> Result<(), ProviderError> {
    let folder = config.node(node);
    let mut setsid = host::command("setsid")
        .args(["--fork", "sh"])
        .arg(config.folder().join("boot.sh"))
        .arg("power")
        .arg(&folder)
        .args([node.as_str(), &config.machine(node)])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(node, format!("setsid: {error}")))?;
    let mut said = String::new();
    if let Some(stdout) = setsid.stdout.take() {
        BufReader::new(stdout).read_line(&mut said).map_err(|error| failed(node, error))?;
    }
    setsid.wait().map_err(|error| failed(node, error))?;
    if said.trim() == "ready" {
        return Ok(());
    }
    let log = fs::read_to_string(folder.join("boot.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let last = &lines[lines.len().saturating_sub(QUOTED_LINES)..];
    Err(failed(node, format!("it does not start: {}", last.join("; "))))
}

/// Takes everything of a node away but its address; what is gone is no error.
pub(super) fn remove(config: &NamespaceConfig, node: &NodeName) -> Result<(), ProviderError> {
    let trouble = |error: std::io::Error| failed(node, error);
    let cgroups = cgroup::all(&config.cgroup(node.as_str())).map_err(trouble)?;
    cgroup::kill(&cgroups).map_err(trouble)?;
    network::remove_link(config, node).map_err(|said| failed(node, said))?;
    cgroup::remove(&cgroups).map_err(trouble)?;
    runtime::forget(config, node);
    files::remove_tree(&config.node(node)).map_err(trouble)
}
