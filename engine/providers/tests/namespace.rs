//! The `namespace` provider on this machine: light nodes are made, found as they should be, outlive who made them, are killed,
//! replaced and destroyed. Needs root; its networks have names of their own.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rebar_model::NodeName;
use rebar_ports::{EnrolTicket, MachineRequest, Provider, ProviderError};
use rebar_providers::{NamespaceConfig, NamespaceProvider};

/// Says what it was started with, and stays.
const AGENT: &str =
    "#!/bin/sh\necho \"$@\" >/run/agent-arguments\ncp /etc/rebar-agent/enrol.json /run/\nexec sleep infinity\n";

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn request(node: &str, token: &str) -> MachineRequest {
    let ticket = EnrolTicket {
        engine: "172.29.0.1:8091".into(),
        token: token.into(),
        ca_fingerprint: "ab".into(),
        release_keys: Vec::new(),
    };
    MachineRequest { name: name(node), ticket, options: BTreeMap::new() }
}

struct Site {
    network: &'static str,
    folder: tempfile::TempDir,
    third: u8,
}

impl Site {
    fn new(network: &'static str, third: u8) -> Self {
        let site = Self { network, folder: tempfile::tempdir().unwrap(), third };
        fs::write(site.agent(), AGENT).unwrap();
        fs::set_permissions(site.agent(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        site
    }

    fn agent(&self) -> PathBuf {
        self.folder.path().join("rebar-agent")
    }

    fn provider(&self) -> NamespaceProvider {
        let subnet = format!("172.29.{}.0/24", self.third);
        NamespaceProvider::new(NamespaceConfig {
            network: self.network.into(),
            subnet: subnet.parse().unwrap(),
            range: subnet.parse().unwrap(),
            gateway: Ipv4Addr::new(172, 29, self.third, 1),
            engine: None,
            state: self.folder.path().join("state"),
            run: self.folder.path().join("run"),
            agent_binary: self.agent(),
        })
        .unwrap()
    }

    fn node(&self, node: &str) -> PathBuf {
        self.folder.path().join("state").join(self.network).join("nodes").join(node)
    }

    /// Process 1 of a node, as the machine counts.
    fn pid(&self, node: &str) -> String {
        fs::read_to_string(self.node(node).join("pid")).unwrap().trim().to_owned()
    }

    /// Runs a command on a node; what it says.
    fn run(&self, node: &str, command: &str) -> String {
        let inside = ["--target", &self.pid(node), "--all", "sh", "-c", command];
        let output = Command::new("nsenter").args(inside).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// What of this network is anywhere on the machine.
    fn remains(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut look = |program: &str, arguments: &[&str], mark: &str| {
            let output = Command::new(program).args(arguments).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            found.extend(text.lines().filter(|it| it.contains(mark)).map(str::to_owned));
        };
        look("ip", &["netns", "list"], &format!("rebar-{}-", self.network));
        look("ip", &["-o", "link"], &format!("{}:", self.network));
        look("ip", &["-o", "link"], &format!("master {} ", self.network));
        look("iptables-save", &[], &format!("rebar:{}", self.network));
        look("cat", &["/proc/mounts"], &self.folder.path().display().to_string());
        look("ps", &["-eo", "args"], &self.folder.path().display().to_string());
        look("find", &["/sys/fs/cgroup", "-path", "*/rebar/*", "-type", "d"], &format!("rebar/{}", self.network));
        look("find", &[&self.folder.path().display().to_string(), "-mindepth", "1"], "/");
        found.retain(|it| !it.ends_with("/rebar-agent"));
        found
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What a test that failed left; one that did not has taken it away itself.
        let provider = self.provider();
        let cleaned = tokio::runtime::Runtime::new().unwrap().block_on(provider.clean());
        assert!(cleaned.is_ok() || std::thread::panicking(), "{cleaned:?}");
    }
}

fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let start = Instant::now();
    while !look() {
        assert!(start.elapsed() < Duration::from_secs(30), "still not so: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

#[test]
fn light_nodes_come_and_go() {
    let site = Site::new("rb-test-life", 1);
    let provider = site.provider();
    let (one, two) = (request("n1", "t0ken"), request("n2", "t0ken"));
    let (machine, other) = on(async { tokio::join!(provider.create(&one), provider.create(&two)) });
    assert_eq!(machine.unwrap().id.unwrap(), "rebar-rb-test-life-n1");
    other.unwrap();
    let addresses = on(provider.list()).unwrap();
    assert_eq!(addresses.len(), 2);
    assert_ne!(addresses[&name("n1")], addresses[&name("n2")]);

    // A machine of its own, as far as anything on it can see.
    assert_eq!(site.run("n1", "hostname; cat /etc/hostname"), "n1\nn1");
    assert_eq!(site.run("n1", "cat /proc/1/comm /run/systemd/container"), "runsvdir\nrebar-namespace");
    assert_eq!(site.run("n1", "ls /sys/class/net"), "eth0\nlo");
    assert!(site.run("n1", "ip -4 -o address show eth0").contains(&addresses[&name("n1")].to_string()));
    assert!(site.run("n1", "ip route").contains("default via 172.29.1.1"));
    assert_eq!(site.run("n1", "cat /etc/resolv.conf"), "nameserver 172.29.1.1");
    assert_eq!(
        site.run(
            "n1",
            "ls /run/machine /var/lib/docker /tmp 2>/dev/null; find /proc -maxdepth 1 -name '[0-9]*' | wc -l"
        )
        .lines()
        .count(),
        4
    );
    let outside = site.folder.path().display().to_string();
    assert_eq!(site.run("n1", &format!("grep -c '{outside}/state/.*/root' /proc/mounts || true")), "0");
    eventually("the agent runs", || Path::new(&format!("/proc/{}/root/run/enrol.json", site.pid("n1"))).exists());
    assert_eq!(
        site.run("n1", "cat /run/agent-arguments"),
        "run --state /var/lib/rebar-agent --enrol /etc/rebar-agent/enrol.json"
    );
    assert_eq!(site.run("n1", "stat -c '%a %U' /etc/rebar-agent/enrol.json"), "600 root");

    // What is written on one is on no other, nor on the machine.
    site.run("n1", "echo mine >/etc/rebar-test-mark; rm /etc/hosts; touch /var/lib/docker/mark /tmp/mark");
    assert_eq!(site.run("n2", "ls /etc/rebar-test-mark /var/lib/docker/mark /tmp/mark 2>/dev/null || true"), "");
    assert!(!Path::new("/etc/rebar-test-mark").exists() && Path::new("/etc/hosts").exists());

    // Made again it is another.
    let before = (site.pid("n1"), addresses[&name("n1")]);
    on(provider.create(&request("n1", "another"))).unwrap();
    assert_ne!(site.pid("n1"), before.0);
    assert_eq!(on(provider.list()).unwrap()[&name("n1")], before.1);
    assert!(site.run("n1", "cat /etc/rebar-agent/enrol.json").contains("another"));
    assert_eq!(site.run("n1", "ls /etc/rebar-test-mark 2>/dev/null || true"), "");

    for _ in 0..2 {
        on(provider.destroy(&name("n1"))).unwrap();
    }
    assert_eq!(on(provider.list()).unwrap().into_keys().collect::<Vec<_>>(), [name("n2")]);
    assert_eq!(site.run("n2", "hostname"), "n2", "the others stay");
    on(provider.destroy(&name("n2"))).unwrap();
    assert_eq!(site.remains(), [""; 0], "nothing is left");
}

#[test]
fn what_is_killed_stays_off_and_is_taken_away() {
    let site = Site::new("rb-test-kill", 2);
    let provider = site.provider();
    on(provider.create(&request("n1", "t"))).unwrap();
    let pid = site.pid("n1");
    // Nobody's child: a provider of another process finds it, and ends it.
    drop(provider);
    Command::new("kill").args(["-9", &pid]).status().unwrap();
    eventually("it has ended", || !Path::new("/proc").join(&pid).exists());
    let provider = site.provider();
    assert_eq!(on(provider.list()).unwrap().len(), 1);
    on(provider.destroy(&name("n1"))).unwrap();
    assert_eq!(site.remains(), [""; 0]);
}

#[test]
fn a_node_that_reboots_comes_back_with_its_disk() {
    let site = Site::new("rb-test-boot", 3);
    let provider = site.provider();
    on(provider.create(&request("n1", "t"))).unwrap();
    eventually("the agent runs", || Path::new(&format!("/proc/{}/root/run/enrol.json", site.pid("n1"))).exists());
    let pid = site.pid("n1");
    site.run("n1", "echo kept >/etc/kept; touch /run/lost; mkdir -p /etc/service/it");
    site.run("n1", "printf '#!/bin/sh\\ntouch /run/started; exec sleep infinity\\n' >/etc/service/it/run");
    site.run("n1", "chmod +x /etc/service/it/run");
    // As reboot(2) does: the kernel ends process 1 by this signal.
    let reboot = "import ctypes; ctypes.CDLL(None).reboot(0x01234567)";
    Command::new("nsenter").args(["--target", &pid, "--all", "python3", "-c", reboot]).status().unwrap();
    eventually("it is up again", || {
        let now = site.pid("n1");
        now != pid && Path::new(&format!("/proc/{now}/root/run/started")).exists()
    });
    assert_eq!(site.run("n1", "cat /etc/kept; ls /run/lost 2>/dev/null || true; hostname"), "kept\nn1");
    on(provider.destroy(&name("n1"))).unwrap();
    assert_eq!(site.remains(), [""; 0]);
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let site = Site::new("rb-test-none", 4);
    let provider = site.provider();
    let mut wrong = request("n1", "t");
    wrong.options.insert("memory-mb".into(), "1".into());
    let refused = on(provider.create(&wrong)).unwrap_err();
    assert!(matches!(&refused, ProviderError::BadOption { option, .. } if option == "memory-mb"), "{refused}");

    fs::remove_file(site.agent()).unwrap();
    let missing = on(provider.create(&request("n1", "t"))).unwrap_err().to_string();
    assert!(missing.contains("cargo build"), "{missing}");
    fs::write(site.agent(), AGENT).unwrap();

    // A bridge of this name that is somebody else's stays.
    Command::new("ip").args(["link", "add", "rb-test-none", "type", "bridge"]).status().unwrap();
    let taken = on(provider.create(&request("n1", "t"))).unwrap_err().to_string();
    Command::new("ip").args(["link", "delete", "rb-test-none"]).status().unwrap();
    assert!(taken.contains("is there without 172.29.4.1/24"), "{taken}");
    assert!(on(provider.list()).unwrap().is_empty());
    on(provider.clean()).unwrap();
    assert_eq!(site.remains(), [""; 0]);
}
