//! The containerd that light nodes share, where the machine has one installed: started with the first node, ended after the last. It
//! is a process of its own that outlives the engine. How it serves many nodes is in `light-node/runtime.sh` and `shim.sh`.

use std::{fs, io, process::Stdio};

use rebar_model::NodeName;

use super::{NamespaceConfig, cgroup, files, host};

/// Its cgroup beside those of the nodes; no node has such a name.
const CGROUP: &str = ".containerd";
/// Nodes ask for containers alone: no snapshots, no Kubernetes.
const CONFIG: &str = r#"version = 2
root = "{root}"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "/run/containerd/containerd.sock"
"#;

/// Starts it, if it does not run.
pub(super) fn ensure(config: &NamespaceConfig) -> io::Result<()> {
    fs::create_dir_all(config.runtime())?;
    if host::find("containerd").is_none() {
        tracing::warn!(
            "there is no containerd here: light nodes cannot run containers; `apt-get install docker.io` has one"
        );
        return Ok(());
    }
    let cgroups = cgroup::all(&config.cgroup(CGROUP))?;
    if cgroup::is_populated(&cgroups) {
        return Ok(());
    }
    let folder = config.folder();
    let root = folder.join("containerd");
    fs::create_dir_all(&root)?;
    fs::write(folder.join("containerd.toml"), CONFIG.replace("{root}", &root.display().to_string()))?;
    cgroup::make(&cgroups)?;
    let table = folder.join("containerd.cgroups");
    fs::write(&table, files::table(&cgroups))?;
    let started = host::command("setsid")
        .args(["--fork", "sh"])
        .arg(folder.join("runtime.sh"))
        .arg("start")
        .args([&folder, &config.runtime(), &table])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !started.success() {
        return Err(io::Error::other(format!("setsid: {started}")));
    }
    // Known by its cgroups: the next node must not start another.
    if !cgroup::until(|| cgroup::is_populated(&cgroups)) {
        return Err(io::Error::other(format!("it does not start; {} says why", folder.join("runtime.log").display())));
    }
    tracing::info!(network = config.network, "containerd of light nodes started");
    Ok(())
}

/// Has it forget a node. What it keeps of one is small and harms nobody, so this may fail.
pub(super) fn forget(config: &NamespaceConfig, node: &NodeName) {
    let socket = config.runtime().join("containerd.sock");
    if !socket.exists() || host::find("ctr").is_none() {
        return;
    }
    for namespace in [node.to_string(), format!("plugins.{node}")] {
        if let Err(said) = forget_namespace(&socket.display().to_string(), &namespace) {
            tracing::debug!(namespace, said, "containerd keeps something of a node that is gone");
        }
    }
}

fn forget_namespace(socket: &str, namespace: &str) -> Result<(), String> {
    let ctr = |rest: &[&str]| {
        let words = ["--address", socket, "--timeout", "5s", "--connect-timeout", "5s", "--namespace", namespace];
        host::run("ctr", &[&words[..], rest].concat())
    };
    let containers = ctr(&["containers", "list", "--quiet"])?;
    let containers: Vec<&str> = containers.split_whitespace().collect();
    if !containers.is_empty() {
        ctr(&[&["containers", "delete"], &containers[..]].concat())?;
    }
    ctr(&["namespaces", "remove", namespace]).map(drop)
}

/// Ends it and takes away what it kept.
pub(super) fn remove(config: &NamespaceConfig) -> io::Result<()> {
    let cgroups = cgroup::all(&config.cgroup(CGROUP))?;
    cgroup::kill(&cgroups)?;
    cgroup::remove(&cgroups)?;
    files::remove_tree(&config.runtime())?;
    files::remove_tree(&config.folder().join("containerd"))
}
