//! A deployment of a real engine is rehearsed: with its own nodes and more like them, its parameters and its history; and the engine
//! and its machines are left alone.

use std::collections::BTreeSet;

use rebar_e2e::House;
use serde_json::Value;

use crate::marks::{Role, deploy, marks};

const NODES: [&str; 3] = ["n1", "n2", "n3"];

#[test]
fn a_deployment_is_rehearsed_larger_than_it_is_and_left_alone() {
    let house = House::new();
    let _agents = house.join(&NODES);
    house.rebar(&["node", "label", "n1", "rack=b1"]).ok();
    deploy(&house, &NODES, &[Role::new("first", None, ""), Role::new("second", Some("first"), "")]);
    house.rebar(&["apply", "demo", "--yes", "--progress", "none"]).ok();
    let left = (marks(&house), house.standings("demo"));
    assert_eq!(left.0.len(), 2 * NODES.len());

    let rehearse =
        |more: &[&str]| house.rebar(&[&["rehearse", "demo", "--seed", "3", "-q", "-o", "json"], more].concat());
    let done = rehearse(&["--nodes", "40"]);
    assert_eq!(done.code, 0, "{done:?}");
    let told: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(
        (&told["nodes"], &told["totals"]["node_roles"], &told["status"]["active"]),
        (&40.into(), &80.into(), &true.into())
    );
    for role in told["roles"].as_array().unwrap() {
        assert_eq!(role["basis"], serde_json::json!({"is": "history", "attempts": 3}), "{role}");
    }
    let rows = told["status"]["node_roles"].as_array().unwrap();
    let names: BTreeSet<&str> = rows.iter().filter_map(|it| it["node"].as_str()).collect();
    assert!(NODES.iter().all(|it| names.contains(it)) && names.contains("all-4"), "{names:?}");

    let lost = rehearse(&["--nodes", "10", "--fault", "fail:second=100%"]);
    assert_eq!(lost.code, 8, "{lost:?}");
    let told: Value = serde_json::from_str(&lost.out).unwrap();
    assert_eq!((&told["faults"][0]["attempts"], &told["faults"][0]["open"]), (&10.into(), &10.into()));

    assert_eq!((marks(&house), house.standings("demo")), left, "nothing real was touched");
    let missing = house.rebar(&["rehearse", "swarm"]);
    assert!(missing.code == 5 && missing.err.contains("write ./swarm"), "{missing:?}");
}
