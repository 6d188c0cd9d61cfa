//! Growing, shrinking, losing, rebuilding, destroying.

use rebar_model::FailureKind;
use rebar_scheduler::{Command, Input, NodeRemoval, Refusal};
use serde_json::{Value, json};

use crate::stage::{Stage, demo, name, role};

/// A server on every node, a list of them in one place, and something on top of each.
fn cluster() -> Vec<(String, Value)> {
    vec![
        role("server", json!({"outputs": {"out": {"schema": {}}}})),
        role("client", json!({"requires": [{"role": "server"}]})),
        role(
            "list",
            json!({
                "scope": "leader", "inputs": {"all": {"schema": {}, "from": {"role": "server", "output": "out", "take": "all"}}},
            }),
        ),
    ]
}

fn settled(nodes: &[&str]) -> Stage {
    let mut stage = Stage::new(nodes, cluster());
    stage.apply();
    stage.settle(|address| json!(address));
    stage.news();
    stage
}

#[test]
fn a_new_node_runs_what_it_needs_and_what_it_changes() {
    let mut stage = settled(&["n1", "n2"]);
    stage.add_node("n3");
    stage.members(&["n1", "n2", "n3"]);
    stage.apply();
    stage.settle(|address| json!(address));
    assert_eq!(stage.news(), ["client@n3", "list@n1", "server@n3"]);
}

#[test]
fn a_node_leaves_in_reverse_order_after_those_that_stay_know() {
    let mut stage = settled(&["n1", "n2"]);
    stage.members(&["n1"]);
    stage.apply();
    // The list learns that n2 goes, and its client goes, before its server does.
    assert_eq!(stage.running(), ["client@n2", "list@n1"]);
    stage.succeed("client@n2", json!({}));
    assert_eq!(stage.running(), ["list@n1"]);
    stage.succeed("list@n1", json!({}));
    assert_eq!(stage.running(), ["server@n2"]);
    stage.succeed("server@n2", json!({}));
    assert_eq!((stage.word("server@n2"), stage.word("server@n1")), ("gone", "active"));
}

#[test]
fn rebuild_undoes_everything_in_reverse_and_builds_it_again() {
    let mut stage = settled(&["n1"]);
    stage.command(Command::Rebuild { deployment: demo(), allowed: Vec::new() }).unwrap();
    assert_eq!(stage.running(), ["client@n1", "list@n1"]);
    stage.succeed("client@n1", json!({}));
    stage.succeed("list@n1", json!({}));
    assert_eq!(stage.running(), ["server@n1"]);
    assert!(matches!(
        stage.command(Command::Rebuild { deployment: demo(), allowed: Vec::new() }),
        Err(Refusal::Busy { .. })
    ));
    stage.succeed("server@n1", json!({}));
    assert_eq!(stage.running(), ["server@n1"], "and the way up begins");
    stage.settle(|address| json!(address));
    assert_eq!((stage.word("list@n1"), stage.world.deployments()[&demo()].rebuilds), ("active", 1));
}

#[test]
fn a_rebuild_leaves_out_what_was_on_a_node_that_is_gone_meanwhile() {
    let mut stage = settled(&["n1", "n2"]);
    stage.command(Command::Rebuild { deployment: demo(), allowed: Vec::new() }).unwrap();
    stage.succeed("client@n2", json!({}));
    let gone = NodeRemoval::Gone { allowed: Vec::new() };
    stage.command(Command::RemoveNode { node: name("n2"), removal: gone }).unwrap();
    stage.settle(|address| json!(address));
    assert_eq!((stage.word("server@n2"), stage.word("client@n2")), ("removed", "removed"));
    assert_eq!((stage.word("server@n1"), stage.world.deployments()[&demo()].rebuilds), ("active", 1));
    stage.apply();
    stage.settle(|address| json!(address));
    assert_eq!(stage.word("list@n1"), "active", "the plan has forgotten whom it waited for");
}

#[test]
fn destroy_leaves_nothing() {
    let mut stage = settled(&["n1", "n2"]);
    stage.command(Command::Destroy { deployment: demo(), allowed: Vec::new() }).unwrap();
    stage.settle(|_| json!(0));
    assert_eq!((stage.world.deployments().len(), stage.world.node_roles().len()), (0, 0));
}

#[test]
fn an_undo_that_fails_stops_there_and_can_be_tried_again() {
    let mut stage = settled(&["n1"]);
    stage.command(Command::Destroy { deployment: demo(), allowed: Vec::new() }).unwrap();
    stage.fail("client@n1", FailureKind::Error);
    stage.settle(|_| json!(0));
    assert_eq!((stage.word("client@n1"), stage.word("server@n1")), ("failed", "active"));
    stage.command(Command::Retry { deployment: demo(), ids: Vec::new() }).unwrap();
    stage.settle(|_| json!(0));
    assert!(stage.world.deployments().is_empty());
}

#[test]
fn a_node_in_use_is_not_removed_unless_it_is_gone() {
    let mut stage = settled(&["n1", "n2"]);
    let remove = |removal| Command::RemoveNode { node: name("n2"), removal };
    assert!(matches!(stage.command(remove(NodeRemoval::Orderly)), Err(Refusal::InUse { .. })));
    stage.command(remove(NodeRemoval::Gone { allowed: Vec::new() })).unwrap();
    assert_eq!((stage.word("server@n2"), stage.running().len()), ("gone", 0));
    stage.apply();
    stage.settle(|address| json!(address));
    assert_eq!(stage.news(), ["list@n1"], "only who knew it has to learn");
}

#[test]
fn what_runs_is_cancelled_before_it_is_undone() {
    let mut stage = Stage::new(&["n1"], cluster());
    stage.apply();
    stage.command(Command::Destroy { deployment: demo(), allowed: Vec::new() }).unwrap();
    assert_eq!(stage.cancelled.len(), 1);
    stage.end("server@n1", rebar_model::Report::Cancelled);
    assert_eq!(stage.running(), ["server@n1"], "it left traces, so it is undone");
    stage.settle(|_| json!(0));
    assert!(stage.world.deployments().is_empty());
}

#[test]
fn a_new_engine_goes_on_where_the_old_one_was() {
    let mut stage = Stage::new(&["n1"], cluster());
    stage.apply();
    stage.news();
    let running = stage.handed[0];
    stage.input(Input::TookOver).unwrap();
    assert!(!stage.world.nodes()[&name("n1")].is_here(), "nobody has come to the new engine yet");
    stage.input(Input::AgentConnected { node: name("n1"), held: vec![running] }).unwrap();
    assert_eq!((stage.news().len(), stage.word("server@n1")), (0, "running"));
}
