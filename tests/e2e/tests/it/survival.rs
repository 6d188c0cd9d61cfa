//! The engine and the agents are killed in the middle, at moments that the marks choose; the deployment goes on to the same end, and no
//! attempt runs twice.

use std::fs;

use rebar_conformance::postgres::Server;
use rebar_e2e::{Database, House, eventually};

use crate::marks::{Role, assert_once, deploy, marks, ran};

fn chain(length: usize) -> Vec<Role> {
    let name = |place: usize| format!("link-{place}");
    (0..length).map(|place| Role::new(&name(place), place.checked_sub(1).map(name).as_deref(), "")).collect()
}

fn killed_again_and_again(database: Database) {
    let mut house = House::on(database);
    let nodes = ["n1", "n2", "n3"];
    let _agents = house.join(&nodes);
    deploy(&house, &nodes, &chain(8));
    house.rebar(&["apply", "demo", "--yes", "--progress", "none", "--timeout", "1s"]);
    for enough in [3, 9, 15, 20] {
        eventually(&format!("{enough} marks"), || (marks(&house).len() >= enough).then_some(()));
        house.kill_engine();
        house.start_engine();
    }
    house.rebar(&["wait", "demo", "--for", "active", "--timeout", "60s"]).ok();
    assert_once(&house);
    let expected: Vec<_> = (0..8).flat_map(|link| nodes.map(|node| format!("apply link-{link}@{node}"))).collect();
    assert_eq!(ran(&house), expected, "everything ran, and ran once");
}

#[test]
fn an_engine_on_sqlite_is_killed_again_and_again() {
    killed_again_and_again(Database::Sqlite);
}

#[test]
fn an_engine_on_postgresql_is_killed_again_and_again() {
    killed_again_and_again(Database::Postgres(Server::start().unwrap()));
}

#[test]
fn work_goes_on_while_engine_and_agent_are_away() {
    let mut house = House::new();
    let mut agents = house.join(&["n1"]);
    let gate = "until [ -e \"$dir/go\" ]; do read -r _ < \"$dir/bell\" || true; done";
    deploy(&house, &["n1"], &[Role::new("gated", None, gate), Role::new("after", Some("gated"), "")]);
    let bell = house.path("marks/bell");
    rebar_e2e::Done::of(std::process::Command::new("mkfifo").arg(&bell)).ok();
    house.rebar(&["apply", "demo", "--yes", "--progress", "none", "--timeout", "1s"]);
    eventually("the role runs", || (marks(&house).len() == 1).then_some(()));
    house.kill_engine();
    agents[0].kill();
    fs::write(house.path("marks/go"), "").unwrap();
    fs::write(&bell, "ring\n").unwrap();
    let agent = house.start_agent(&agents[0].state.clone());
    house.start_engine();
    house.rebar(&["wait", "demo", "--for", "active", "--timeout", "60s"]).ok();
    assert_eq!(ran(&house), ["apply after@n1", "apply gated@n1"]);
    assert_once(&house);
    drop(agent);
}
