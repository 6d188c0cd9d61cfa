//! Two engines on one PostgreSQL server: one leads, the other follows and answers. The leader is killed, or frozen and thawed; the
//! other goes on with the deployment, agents find it by themselves, and nothing runs twice.

use rebar_conformance::postgres::Server;
use rebar_e2e::{AgentProcess, House, eventually};

use crate::marks::{Role, assert_once, deploy, marks, ran};

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const LINKS: usize = 8;

/// A deployment in its middle, the first engine leading.
fn in_the_middle() -> (House, House, Vec<AgentProcess>) {
    let (first, second) = House::pair(Server::start().unwrap());
    let agents = first.join(&NODES);
    let name = |place: usize| format!("link-{place}");
    let chain: Vec<_> =
        (0..LINKS).map(|place| Role::new(&name(place), place.checked_sub(1).map(name).as_deref(), "")).collect();
    deploy(&first, &NODES, &chain);
    first.rebar(&["apply", "demo", "--yes", "--progress", "none", "--timeout", "1s"]);
    eventually("some marks", || (marks(&first).len() >= 5).then_some(()));
    (first, second, agents)
}

/// Everything ran, and ran once, whoever led.
fn assert_whole(first: &House) {
    assert_once(first);
    let expected: Vec<_> = (0..LINKS).flat_map(|link| NODES.map(|node| format!("apply link-{link}@{node}"))).collect();
    assert_eq!(ran(first), expected, "everything ran, and ran once");
}

/// Waits until an engine leads: it does what it is asked.
fn leads(house: &House) {
    eventually("the other engine leads", || (house.rebar(&["node", "label", "n1", "led=yes"]).code == 0).then_some(()));
}

#[test]
fn the_leader_is_killed_and_the_other_goes_on() {
    let (mut first, second, _agents) = in_the_middle();
    let refused = second.rebar(&["node", "label", "n1", "led=yes"]);
    assert!(refused.code != 0 && refused.err.contains("RB4030"), "a standby changes nothing: {refused:?}");
    for verb in ["plan", "apply"] {
        let refused = second.rebar(&[verb, "demo"]);
        assert!(
            refused.code != 0 && refused.err.contains("RB4030"),
            "nor does it say that nothing changes: {refused:?}"
        );
    }
    first.kill_engine();
    leads(&second);
    for node in NODES {
        second.here(node);
    }
    second.settle("demo");
    assert_whole(&first);
    // The dead one comes back, stands by, and sees what the other did.
    first.start_engine();
    first.settle("demo");
    let refused = first.rebar(&["node", "label", "n1", "led=yes"]);
    assert!(refused.err.contains("RB4030"), "who comes back stands by: {refused:?}");
}

#[test]
fn the_leader_is_frozen_and_refused_when_it_thaws() {
    let (first, second, _agents) = in_the_middle();
    first.freeze_engine();
    leads(&second);
    for node in NODES {
        second.here(node);
    }
    second.settle("demo");
    first.thaw_engine();
    eventually("the thawed engine stands by", || {
        first.rebar(&["node", "label", "n1", "led=no"]).err.contains("RB4030").then_some(())
    });
    let node = second.rebar(&["node", "show", "n1", "-o", "json"]).json().to_string();
    assert!(node.contains(r#""led":"yes""#), "the thawed engine changed nothing: {node}");
    assert_whole(&first);
}
