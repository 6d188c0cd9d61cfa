//! The agents upgrade themselves while a role runs: one goes first, the others follow, and a release that does not work stops at the
//! first, which is back on the one before.

use std::{fs, time::Duration};

use rebar_e2e::{AgentProcess, House, bin, eventually, eventually_within};
use serde_json::Value;

use crate::marks::{Role, assert_once, deploy, marks};

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const QUICK: [&str; 4] = ["--stable-for", "15s", "--report-within", "3m"];

/// How long an upgrade of programs with everything for debuggers may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);

/// A house whose engine and agents trust a release key.
fn house() -> (House, Vec<AgentProcess>) {
    let mut house = House::new();
    trust(&mut house);
    let agents = house.join(&NODES);
    (house, agents)
}

/// Makes a release key, and has the engine and the agents that enrol from now on trust it.
pub fn trust(house: &mut House) {
    let file = house.path("release.key");
    let key = house.rebar(&["agent", "release", "key", file.to_str().unwrap()]).ok().out.trim().to_owned();
    house.kill_engine();
    house.trust(&key);
    house.start_engine();
}

/// Signs a program and gives it to the engine.
pub fn release(house: &House, version: &str, program: &[u8]) {
    let file = house.path(&format!("agent-{version}"));
    fs::write(&file, program).unwrap();
    let (file, key) = (file.to_str().unwrap(), house.path("release.key"));
    let sign = ["agent", "release", "sign", file, "--key", key.to_str().unwrap(), "--version", version];
    let platform = if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" };
    house.rebar(&[&sign[..], &["--platform", platform]].concat()).ok();
    house.rebar(&["agent", "release", "import", file]).ok();
}

pub fn upgrade(house: &House, version: &str) {
    house.rebar(&[&["agent", "upgrade", version][..], &QUICK].concat()).ok();
}

/// The real program, as another one: what stands behind the end of an ELF file is nothing to it.
pub fn program(mark: &str) -> Vec<u8> {
    let mut program = fs::read(bin("rebar-agent")).unwrap();
    program.extend(mark.as_bytes());
    program
}

fn status(house: &House) -> Value {
    house.rebar(&["agent", "status", "-o", "json"]).json()
}

fn versions(status: &Value) -> Vec<String> {
    let agents = status["agents"].as_array().cloned().unwrap_or_default();
    agents.iter().map(|it| it["version"].as_str().unwrap_or_default().to_owned()).collect()
}

pub fn becomes(house: &House, state: &str) -> Value {
    eventually_within(PATIENCE, &format!("the upgrade is {state}"), || {
        let status = status(house);
        let now = status["upgrade"]["state"].as_str().unwrap_or_default();
        assert!(now == state || now == "running", "{status:#}");
        (now == state).then_some(status)
    })
}

#[test]
fn one_goes_first_and_the_others_follow_while_a_role_runs() {
    let (house, _agents) = house();
    let go = house.path("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.05; done", go.display());
    deploy(&house, &NODES, &[Role { timeout: "5m".into(), ..Role::new("long", None, &wait) }]);
    house.rebar(&["apply", "demo", "--yes", "--progress", "none", "--timeout", "1s"]);
    eventually("the role runs everywhere", || (marks(&house).len() == NODES.len()).then_some(()));

    release(&house, "9.1.0", &program("new"));
    upgrade(&house, "9.1.0");
    // While the first is tried and watched, nobody else is told.
    let first = eventually_within(PATIENCE, "the first is another release", || {
        let status = status(&house);
        versions(&status).iter().any(|it| it == "9.1.0").then_some(status)
    });
    assert_eq!(versions(&first).iter().filter(|it| *it == "9.1.0").count(), 1, "{first:#}");
    let done = becomes(&house, "done");
    assert_eq!(versions(&done), ["9.1.0"; 3], "{done:#}");
    assert_eq!(done["upgrade"]["first"].as_array().map(Vec::len), Some(1));

    fs::write(&go, "").unwrap();
    house.settle("demo");
    assert_eq!(marks(&house).len(), NODES.len(), "every attempt was started once");
    assert_once(&house);
}

#[test]
fn a_release_that_does_not_work_stops_at_the_first() {
    let (house, agents) = house();
    let built = versions(&status(&house));
    release(&house, "9.2.0", b"#!/bin/sh\nif [ \"$1\" = --version ]; then exit 0; fi\nexit 7\n");
    upgrade(&house, "9.2.0");
    let held = becomes(&house, "held");
    assert_eq!((versions(&held), &held["upgrade"]["code"]), (built, &Value::from("RB4506")), "{held:#}");
    let reason = held["upgrade"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("exit status: 7"), "{reason}");
    let shown = house.rebar(&["agent", "status"]).ok().out;
    assert!(shown.contains("held") && shown.contains("n1"), "{shown}");
    for (agent, node) in agents.iter().zip(NODES) {
        house.here(node);
        let was_told = agent.state.join("upgrade.json").exists();
        assert_eq!(was_told, node == "n1", "{node}");
    }
    // A better one goes through; a program that nobody signed does not get in.
    release(&house, "9.3.0", &program("better"));
    upgrade(&house, "9.3.0");
    assert_eq!(versions(&becomes(&house, "done")), ["9.3.0"; 3]);
    let strange = house.path("agent-9.3.0");
    fs::write(&strange, b"another program").unwrap();
    let refused = house.rebar(&["agent", "release", "import", strange.to_str().unwrap()]);
    assert!(refused.code == 7 && refused.err.contains("RB4504"), "{refused:?}");
}
