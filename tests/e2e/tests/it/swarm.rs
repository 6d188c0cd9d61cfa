//! The main job on real machines: the demo deploys a Docker Swarm on containers with systemd and rebuilds it twice; then it grows by a
//! node, and shrinks again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rebar_e2e::{Done, bin, root};
use serde_json::Value;

/// A demo of its own, cleaned up at the end whatever happens.
struct Demo {
    dir: tempfile::TempDir,
    /// Its network, and part of the names of its containers.
    network: &'static str,
    subnet: &'static str,
    port: u16,
}

impl Demo {
    fn new(network: &'static str, subnet: &'static str, port: u16) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), network, subnet, port }
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(bin("rebar"));
        command
            .current_dir(root())
            .arg("demo")
            .arg("--dir")
            .arg(self.path("demo"))
            .arg("--summary")
            .arg(self.path("demo.json"))
            .args(["--network", self.network, "--subnet", self.subnet])
            .args(["--port", &self.port.to_string(), "--agents-port", &(self.port - 1).to_string()])
            .args(more);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn rebar(&self, arguments: &[&str]) -> Done {
        let read = |name: &str| fs::read_to_string(self.path("demo/data").join(name)).unwrap();
        let mut command = Command::new(bin("rebar"));
        command
            .env("REBAR_URL", format!("https://127.0.0.1:{}", self.port))
            .env("REBAR_TOKEN", read("admin.token").trim())
            .env("REBAR_CA_FILE", self.path("demo/data/ca.pem"))
            .env("HOME", self.dir.path())
            .args(arguments);
        Done::of(&mut command)
    }

    /// The roles and nodes of the attempts after one.
    fn attempts_after(&self, attempt: u64) -> Vec<String> {
        let events = self.rebar(&["events", "--since", "0", "-o", "ndjson"]).ok();
        let mut ran: Vec<String> = events
            .out
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|event| {
                let put = &event["change"]["attempt"];
                let new = put["id"].as_u64()? > attempt && put["outcome"].is_null() && put["accepted_at"].is_null();
                new.then(|| put["node_role"].as_str().map(str::to_owned))?
            })
            .collect();
        ran.sort();
        ran.dedup();
        ran
    }

    /// The nodes that the swarm itself knows, asked on one of its managers.
    fn swarm_nodes(&self, manager: &str) -> Vec<String> {
        let container = format!("rebar-{}-{manager}", self.network);
        let list =
            ["exec", &container, "docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}"];
        let out = Done::of(Command::new("docker").args(list)).ok().out;
        let mut nodes: Vec<_> = out.lines().map(|it| it.trim().to_owned()).collect();
        nodes.sort();
        nodes
    }

    fn containers(&self) -> String {
        let filter = format!("label=dev.rebar.network={}", self.network);
        Done::of(Command::new("docker").args(["ps", "-aq", "--filter", &filter])).ok().out
    }

    fn newest_attempt(&self) -> u64 {
        let events = self.rebar(&["events", "--since", "0", "-o", "ndjson"]).ok();
        let ids = events.out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        ids.filter_map(|event| event["change"]["attempt"]["id"].as_u64()).max().unwrap_or(0)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the engine said:\n{}", fs::read_to_string(self.path("demo/engine.log")).unwrap_or_default());
        }
        let cleaned = Done::of(&mut self.command(&["--clean"]));
        assert!(cleaned.code == 0 || std::thread::panicking(), "{}", cleaned.err);
    }
}

#[test]
fn a_swarm_is_deployed_rebuilt_grown_and_shrunk() {
    let demo = Demo::new("rebar-e2e", "172.30.78.0/24", 18_192);
    let done = Done::of(&mut demo.command(&[])).ok();
    let summary = fs::read_to_string(demo.path("demo.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!((&summary["nodes"], &summary["second_apply_changed"]), (&Value::from(3), &Value::from(0)));
    assert_eq!(summary["fetched_through_lb"], true, "{}", done.err);
    let rebuilds = summary["redeploys"].as_array().unwrap();
    assert!(rebuilds.len() == 2 && rebuilds.iter().all(|it| it["ok"] == true), "{summary}");
    grow_and_shrink(&demo);
    no_secret_is_anywhere(&demo.path("demo"));
    Done::of(&mut demo.command(&["--clean"])).ok();
    assert_eq!(demo.containers(), "", "the demo leaves nothing");
}

fn grow_and_shrink(demo: &Demo) {
    demo.rebar(&["node", "add", "demo-4", "--provider", "docker", "--wait", "--timeout", "2m"]).ok();
    demo.rebar(&["deployment", "add-node", "demo", "demo-4", "--group", "worker"]).ok();
    let before = demo.newest_attempt();
    demo.rebar(&["apply", "demo", "--yes", "--timeout", "3m"]).ok();
    let all = ["demo-1 Ready Leader", "demo-2 Ready", "demo-3 Ready", "demo-4 Ready"];
    assert_eq!(demo.swarm_nodes("demo-1"), all);
    let elsewhere: Vec<_> = demo.attempts_after(before).into_iter().filter(|it| !it.ends_with("@demo-4")).collect();
    assert_eq!(elsewhere, [""; 0], "the others were not touched");

    demo.rebar(&["deployment", "remove-node", "demo", "demo-4"]).ok();
    demo.rebar(&["apply", "demo", "--yes", "--timeout", "3m"]).ok();
    assert_eq!(demo.swarm_nodes("demo-1"), all[..3]);
    demo.rebar(&["node", "rm", "demo-4"]).ok();
    let records = demo.rebar(&["service", "dns", "ls", "-o", "json"]).ok().out;
    assert!(!records.contains("demo-4"), "its name went with it: {records}");
}

/// The join tokens of a swarm are well known in shape: none is in the events, the log, or readable in the database.
fn no_secret_is_anywhere(dir: &Path) {
    for file in ["engine.log", "data/rebar.db", "data/rebar.db-wal"] {
        let bytes = fs::read(dir.join(file)).unwrap_or_default();
        assert!(!bytes.windows(9).any(|it| it == b"SWMTKN-1-"), "{file} holds a join token");
    }
}

#[test]
fn a_swarm_of_three_managers_loses_two_in_order() {
    let demo = Demo::new("rebar-e2e-ha", "172.30.79.0/24", 18_292);
    Done::of(&mut demo.command(&["--nodes", "4", "--managers", "3", "--cycles", "1"])).ok();
    let four = ["demo-1 Ready Leader", "demo-2 Ready Reachable", "demo-3 Ready Reachable", "demo-4 Ready"];
    assert_eq!(demo.swarm_nodes("demo-1"), four);
    // The leader is among them: another is elected, and the roles that ran on it move.
    for manager in ["demo-1", "demo-2"] {
        demo.rebar(&["deployment", "remove-node", "demo", manager]).ok();
    }
    demo.rebar(&["apply", "demo", "--yes", "--timeout", "3m"]).ok();
    assert_eq!(demo.swarm_nodes("demo-3"), ["demo-3 Ready Leader", "demo-4 Ready"]);
}
