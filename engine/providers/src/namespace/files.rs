//! What a light node is made of on disk: its layer over the machine's root, the file systems that are mounted in it, the agent and
//! what that enrols with.

use std::{
    fs,
    io::{self, Write},
    net::Ipv4Addr,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rebar_ports::{MachineRequest, ProviderError};
use serde_json::json;

use super::{NamespaceConfig, cgroup::Cgroup, host::unavailable};

/// The scripts, by the name that they have in the folder of a network.
const SCRIPTS: [(&str, &str); 5] = [
    ("boot.sh", include_str!("../../light-node/boot.sh")),
    ("agent.run", include_str!("../../light-node/agent.run")),
    ("agent.log", include_str!("../../light-node/agent.log")),
    ("runtime.sh", include_str!("../../light-node/runtime.sh")),
    // By the name of what it stands in for.
    ("bin/containerd-shim-runc-v2", include_str!("../../light-node/shim.sh")),
];
/// Folders of `/var/lib` that are the node's own from the start: what the machine has there is another's, and overlays cannot lie
/// on an overlay.
const OWN: [&str; 3] = ["docker", "containerd", "rebar-agent"];

/// Whether the agent can be put into nodes.
pub(super) fn check_agent(path: &Path) -> Result<(), ProviderError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => Ok(()),
        Ok(_) => Err(unavailable(format!("{} is not the agent's binary", path.display()))),
        Err(error) => Err(unavailable(format!(
            "the agent's binary {} cannot be used: {error}; build it with `cargo build --release -p rebar-agent`",
            path.display()
        ))),
    }
}

/// Writes what all nodes of a network share: the scripts and the agent. One at a time.
pub(super) fn shared(config: &NamespaceConfig) -> io::Result<()> {
    let folder = config.folder();
    for (name, text) in SCRIPTS {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        if fs::read_to_string(&path).is_ok_and(|it| it == text) {
            continue;
        }
        replace(&path, 0o755, |file| file.write_all(text.as_bytes()))?;
    }
    let path = agent(config)?;
    if !path.exists() {
        replace(&path, 0o755, |file| io::copy(&mut fs::File::open(&config.agent_binary)?, file).map(drop))?;
    }
    Ok(())
}

/// Where the agent is kept, under a name that no other version of it has.
pub(super) fn agent(config: &NamespaceConfig) -> io::Result<PathBuf> {
    let about = fs::metadata(&config.agent_binary)?;
    Ok(config.folder().join(format!("agent-{}-{}.{}", about.len(), about.mtime(), about.mtime_nsec())))
}

/// Writes a file so that it is there as a whole or not at all.
fn replace(path: &Path, mode: u32, write: impl FnOnce(&mut fs::File) -> io::Result<()>) -> io::Result<()> {
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = fs::File::options().write(true).create(true).truncate(true).open(&draft)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    write(&mut file)?;
    fs::rename(&draft, path)
}

/// Writes everything of one node.
pub(super) fn node(
    config: &NamespaceConfig,
    request: &MachineRequest,
    address: Ipv4Addr,
    cgroups: &[Cgroup],
) -> io::Result<()> {
    let folder = config.node(&request.name);
    for name in ["work", "root", "upper/etc/rebar-agent", "upper/etc/service/rebar-agent/log", "upper/usr/local/bin"] {
        fs::create_dir_all(folder.join(name))?;
    }
    for name in OWN {
        fs::create_dir_all(folder.join("data").join(name))?;
    }
    // A layer's top is the node's `/`; a folder above the layers keeps others out.
    fs::set_permissions(folder.join("upper"), fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(folder.join("upper/etc/rebar-agent"), fs::Permissions::from_mode(0o700))?;
    let etc = folder.join("upper/etc");
    fs::write(etc.join("hostname"), format!("{}\n", request.name))?;
    fs::write(etc.join("hosts"), format!("127.0.0.1 localhost\n::1 localhost\n{address} {}\n", request.name))?;
    fs::write(etc.join("resolv.conf"), format!("nameserver {}\n", config.gateway))?;
    let ticket = &request.ticket;
    let engine = config.engine.as_ref().unwrap_or(&ticket.engine);
    let enrol = json!({
        "engine": engine, "token": ticket.token, "ca_fingerprint": ticket.ca_fingerprint, "release_keys": ticket.release_keys,
    });
    let mut file =
        fs::File::options().write(true).create_new(true).mode(0o600).open(etc.join("rebar-agent/enrol.json"))?;
    file.write_all(enrol.to_string().as_bytes())?;
    // One agent in memory and on disk, however many nodes; one that is replaced on a node is replaced there alone.
    fs::hard_link(agent(config)?, folder.join("upper/usr/local/bin/rebar-agent"))?;
    let service = etc.join("service/rebar-agent");
    fs::hard_link(config.folder().join("agent.run"), service.join("run"))?;
    fs::hard_link(config.folder().join("agent.log"), service.join("log/run"))?;
    fs::write(folder.join("fstab"), fstab(&folder, &config.runtime(), cgroups))?;
    fs::write(folder.join("cgroups"), table(cgroups))
}

/// Removes a folder with everything in it; none is no error.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io::Error::other(format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// The cgroups, as the scripts read them.
pub(super) fn table(cgroups: &[Cgroup]) -> String {
    let line = |it: &Cgroup| format!("{} {} {}\n", it.mount.display(), it.root.display(), it.leaf.display());
    cgroups.iter().map(line).collect()
}

/// What is mounted for a node, as fstab(5) says it.
fn fstab(folder: &Path, runtime: &Path, cgroups: &[Cgroup]) -> String {
    let root = folder.join("root");
    let mut lines = Vec::new();
    let mut mount = |what: &str, at: &str, kind: &str, how: &str| {
        lines.push(format!("{what} {}{at} {kind} {how} 0 0\n", root.display()));
    };
    let (upper, work) = (folder.join("upper"), folder.join("work"));
    let layers = format!(
        "lowerdir=/,upperdir={},workdir={},index=off,metacopy=off,redirect_dir=off",
        upper.display(),
        work.display()
    );
    mount("rebar-node", "", "overlay", &layers);
    mount("proc", "/proc", "proc", "nosuid,nodev,noexec");
    // Mounted from inside, so that it shows the node's own interfaces.
    mount("sysfs", "/sys", "sysfs", "nosuid,nodev,noexec");
    if cgroups.iter().all(|it| it.mount != Path::new("/sys/fs/cgroup")) {
        mount("tmpfs", "/sys/fs/cgroup", "tmpfs", "mode=755,nosuid,nodev,noexec");
    }
    for cgroup in cgroups {
        let (own, at) = (cgroup.root.display().to_string(), cgroup.mount.display().to_string());
        mount(&own, &at, "none", "bind,x-mount.mkdir");
    }
    mount("/dev", "/dev", "none", "rbind");
    mount("devpts", "/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=620,gid=5,nosuid,noexec");
    mount("tmpfs", "/dev/shm", "tmpfs", "mode=1777,nosuid,nodev");
    mount("tmpfs", "/run", "tmpfs", "mode=755,nosuid,nodev");
    mount("tmpfs", "/tmp", "tmpfs", "mode=1777,nosuid,nodev");
    for name in OWN {
        let data = folder.join("data").join(name);
        mount(&data.display().to_string(), &format!("/var/lib/{name}"), "none", "bind,x-mount.mkdir");
    }
    mount(&runtime.display().to_string(), "/run/containerd", "none", "bind,x-mount.mkdir");
    lines.concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rebar_model::NodeName;
    use rebar_ports::EnrolTicket;

    use super::*;

    fn cgroups() -> Vec<Cgroup> {
        let root = PathBuf::from("/sys/fs/cgroup/cpu/rebar/light/n1");
        vec![Cgroup { mount: "/sys/fs/cgroup/cpu".into(), leaf: root.clone(), root }]
    }

    #[test]
    fn a_node_has_its_own_file_systems_over_the_shared_root() {
        let table = fstab(Path::new("/n/n1"), Path::new("/run/light"), &cgroups());
        let first = "rebar-node /n/n1/root overlay lowerdir=/,upperdir=/n/n1/upper,workdir=/n/n1/work,";
        assert!(table.starts_with(first), "{table}");
        for line in [
            "sysfs /n/n1/root/sys sysfs nosuid,nodev,noexec 0 0",
            "/sys/fs/cgroup/cpu/rebar/light/n1 /n/n1/root/sys/fs/cgroup/cpu none bind,x-mount.mkdir 0 0",
            "tmpfs /n/n1/root/run tmpfs mode=755,nosuid,nodev 0 0",
            "/n/n1/data/docker /n/n1/root/var/lib/docker none bind,x-mount.mkdir 0 0",
            "/run/light /n/n1/root/run/containerd none bind,x-mount.mkdir 0 0",
        ] {
            assert!(table.lines().any(|it| it == line), "{line} is not in\n{table}");
        }
    }

    #[test]
    fn the_ticket_is_for_the_node_alone_and_the_agent_is_shared() {
        let folder = tempfile::tempdir().unwrap();
        let agent_binary = folder.path().join("rebar-agent");
        fs::write(&agent_binary, "agent").unwrap();
        let config = NamespaceConfig {
            state: folder.path().join("state"),
            engine: Some("172.31.0.1:8091".into()),
            agent_binary,
            ..NamespaceConfig::default()
        };
        let ticket = EnrolTicket {
            engine: "10.0.0.1:1".into(),
            token: "t0ken".into(),
            ca_fingerprint: "ab".into(),
            release_keys: Vec::new(),
        };
        let request = |name: &str| MachineRequest {
            name: NodeName::new(name).unwrap(),
            ticket: ticket.clone(),
            options: BTreeMap::new(),
        };
        for _ in 0..2 {
            shared(&config).unwrap();
        }
        let address = Ipv4Addr::new(172, 31, 0, 2);
        for name in ["n1", "n2"] {
            node(&config, &request(name), address, &cgroups()).unwrap();
        }
        let upper = config.node(&NodeName::new("n1").unwrap()).join("upper");
        let enrol = upper.join("etc/rebar-agent/enrol.json");
        assert_eq!(fs::metadata(&enrol).unwrap().permissions().mode() & 0o777, 0o600);
        let enrol = fs::read_to_string(enrol).unwrap();
        assert_eq!(enrol, r#"{"ca_fingerprint":"ab","engine":"172.31.0.1:8091","release_keys":[],"token":"t0ken"}"#);
        assert_eq!(fs::read_to_string(upper.join("usr/local/bin/rebar-agent")).unwrap(), "agent");
        assert_eq!(fs::read_to_string(upper.join("etc/resolv.conf")).unwrap(), "nameserver 172.31.0.1\n");
        let links = fs::metadata(agent(&config).unwrap()).unwrap().nlink();
        assert_eq!(links, 3, "its own and a node each");
    }
}
