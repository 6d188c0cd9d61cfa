//! When node-roles start, and when they do not.

use rebar_model::{FailureKind, Span};
use rebar_scheduler::{Command, Input};
use serde_json::{Value, json};

use crate::stage::{Stage, demo, name, role};

fn chain() -> Vec<(String, Value)> {
    vec![
        role(
            "base",
            json!({"outputs": {"out": {"schema": {}}}, "inputs": {"size": {"schema": {}, "from": {"deployment": "size"}}}}),
        ),
        role(
            "middle",
            json!({
                "inputs": {"base": {"schema": {}, "from": {"role": "base", "output": "out"}}}, "outputs": {"out": {"schema": {}}},
            }),
        ),
        role("top", json!({"inputs": {"middle": {"schema": {}, "from": {"role": "middle", "output": "out"}}}})),
        role("aside", json!({})),
    ]
}

#[test]
fn a_node_role_starts_when_its_own_requirements_are_met() {
    let mut stage = Stage::new(&["n1", "n2"], chain());
    stage.apply();
    assert_eq!(stage.running(), ["aside@n1", "aside@n2", "base@n1", "base@n2"]);
    stage.succeed("base@n1", json!({"out": 1}));
    assert_eq!(stage.running(), ["aside@n1", "aside@n2", "base@n2", "middle@n1"]);
}

#[test]
fn a_second_apply_runs_nothing() {
    let mut stage = Stage::new(&["n1"], chain());
    stage.apply();
    stage.settle(|_| json!(1));
    stage.news();
    stage.apply();
    assert_eq!(stage.news(), [""; 0]);
}

#[test]
fn a_changed_output_runs_those_again_that_consume_it() {
    let mut stage = Stage::new(&["n1"], chain());
    stage.apply();
    stage.settle(|_| json!(1));
    stage.news();
    stage.set_size(2);
    stage.apply();
    stage.succeed("base@n1", json!({"out": 2}));
    stage.settle(|_| json!(1));
    // `middle` gave what it gave before: the wave ends there.
    assert_eq!(stage.news(), ["base@n1", "middle@n1"]);
    assert_eq!(stage.word("top@n1"), "active");
}

#[test]
fn an_output_that_did_not_change_stops_the_wave_at_once() {
    let mut stage = Stage::new(&["n1"], chain());
    stage.apply();
    stage.settle(|_| json!(1));
    stage.news();
    stage.set_size(2);
    stage.apply();
    stage.settle(|_| json!(1));
    assert_eq!(stage.news(), ["base@n1"]);
}

#[test]
fn what_depends_on_something_that_runs_again_waits_for_it() {
    let mut stage = Stage::new(&["n1"], chain());
    stage.apply();
    stage.settle(|_| json!(1));
    stage.set_size(2);
    stage.apply();
    assert_eq!(stage.running(), ["base@n1"]);
    assert!(!stage.world.node_role(&stage.id("top@n1")).unwrap().status.state.is_fresh());
}

#[test]
fn a_failure_blocks_its_descendants_only() {
    let mut stage = Stage::new(&["n1", "n2"], chain());
    stage.apply();
    stage.fail("base@n1", FailureKind::Error);
    stage.settle(|_| json!(1));
    assert_eq!(
        (stage.word("base@n1"), stage.word("middle@n1"), stage.word("aside@n1")),
        ("failed", "waiting", "active")
    );
    assert_eq!(stage.word("top@n2"), "active");
}

#[test]
fn a_transient_failure_is_tried_again_after_its_back_off() {
    let retries = json!({"max": 1, "initial": "5s", "reasons": ["error"]});
    let mut stage = Stage::new(&["n1"], vec![role("only", json!({"phases": {"apply": {"retries": retries}}}))]);
    stage.apply();
    stage.fail("only@n1", FailureKind::Error);
    assert_eq!((stage.word("only@n1"), stage.running().len()), ("queued", 0));
    stage.pass(Span::from_secs(4));
    assert_eq!(stage.running().len(), 0);
    stage.pass(Span::from_secs(1));
    assert_eq!(stage.running(), ["only@n1"]);
    stage.fail("only@n1", FailureKind::Error);
    assert_eq!(stage.word("only@n1"), "failed");
}

#[test]
fn an_attempt_that_says_nothing_is_given_up_at_its_deadline() {
    let mut stage = Stage::new(&["n1"], vec![role("only", json!({}))]);
    stage.apply();
    stage.pass(Span::from_secs(69));
    assert_eq!(stage.word("only@n1"), "running");
    stage.pass(Span::from_secs(1));
    assert_eq!((stage.word("only@n1"), stage.cancelled.len()), ("failed", 1));
}

#[test]
fn a_node_that_comes_back_goes_on_where_it_was() {
    let mut stage = Stage::new(&["n1"], vec![role("only", json!({}))]);
    stage.apply();
    let running = stage.handed[0];
    stage.input(Input::AgentLost { node: name("n1") }).unwrap();
    stage.input(Input::AgentConnected { node: name("n1"), held: vec![running] }).unwrap();
    assert_eq!(stage.news(), ["only@n1"], "what the agent holds is not handed out again");
    stage.input(Input::AgentLost { node: name("n1") }).unwrap();
    stage.input(Input::AgentConnected { node: name("n1"), held: Vec::new() }).unwrap();
    assert_eq!(stage.news(), ["only@n1"], "what the agent never got is handed out again");
    assert_eq!(stage.handed, [running, running], "under the same number");
}

#[test]
fn those_that_name_one_lock_run_one_after_the_other() {
    let lock = json!({"concurrency": {"lock": "apt"}});
    let mut stage = Stage::new(&["n1", "n2"], vec![role("a", lock.clone()), role("b", lock), role("c", json!({}))]);
    stage.apply();
    assert_eq!(stage.running(), ["a@n1", "a@n2", "c@n1", "c@n2"]);
    stage.succeed("a@n1", json!({}));
    assert_eq!(stage.running(), ["a@n2", "b@n1", "c@n1", "c@n2"]);
}

#[test]
fn a_limit_holds_over_the_whole_deployment() {
    let limit = json!({"concurrency": {"perDeployment": 1}});
    let mut stage = Stage::new(&["n1", "n2", "n3"], vec![role("a", limit)]);
    stage.apply();
    for node in ["n1", "n2", "n3"] {
        assert_eq!(stage.running(), [format!("a@{node}")]);
        stage.succeed(&format!("a@{node}"), json!({}));
    }
    stage.command(Command::Destroy { deployment: demo(), allowed: Vec::new() }).unwrap();
    assert_eq!(stage.running().len(), 1, "the limit holds on the way out too");
}

#[test]
fn any_starts_at_the_first_and_quorum_at_more_than_half() {
    let base = role("base", json!({"outputs": {"out": {"schema": {}}}}));
    let watcher = |take: &str| {
        role(
            take,
            json!({"scope": "leader", "inputs": {"in": {"schema": {}, "from": {"role": "base", "output": "out", "take": take}}}}),
        )
    };
    let mut stage = Stage::new(&["n1", "n2", "n3"], vec![base, watcher("any"), watcher("quorum"), watcher("all")]);
    stage.apply();
    stage.news();
    stage.succeed("base@n2", json!({"out": "two"}));
    assert_eq!(stage.news(), ["any@n1"]);
    stage.succeed("base@n1", json!({"out": "one"}));
    assert_eq!(stage.news(), ["quorum@n1"]);
    let seen = |stage: &Stage, role: &str| {
        let id = stage.id(role);
        let attempt = stage.world.attempts().values().find(|it| it.node_role == id).unwrap();
        attempt.inputs[&name::<rebar_model::Ident>("in")].value.clone()
    };
    assert_eq!((seen(&stage, "any@n1"), seen(&stage, "quorum@n1")), (json!("two"), json!(["one", "two"])));
    stage.succeed("base@n3", json!({"out": "three"}));
    assert_eq!(stage.news(), ["all@n1"]);
    assert_eq!(seen(&stage, "all@n1"), json!(["one", "two", "three"]));
}

#[test]
fn a_paused_deployment_starts_nothing_and_goes_on_when_resumed() {
    let mut stage = Stage::new(&["n1"], chain());
    stage.apply();
    stage.command(Command::Pause { deployment: demo(), reason: "lunch".to_owned() }).unwrap();
    stage.news();
    stage.succeed("base@n1", json!({"out": 1}));
    assert_eq!(stage.news(), [""; 0]);
    stage.command(Command::Resume { deployment: demo() }).unwrap();
    assert_eq!(stage.news(), ["middle@n1"]);
}

#[test]
fn cancel_ends_what_runs_and_resume_starts_it_again() {
    let mut stage = Stage::new(&["n1"], vec![role("only", json!({}))]);
    stage.apply();
    stage.command(Command::Cancel { deployment: demo(), reason: "no".to_owned() }).unwrap();
    assert_eq!(stage.cancelled.len(), 1);
    stage.end("only@n1", rebar_model::Report::Cancelled);
    assert_eq!(stage.running(), [""; 0]);
    stage.command(Command::Resume { deployment: demo() }).unwrap();
    assert_eq!(stage.running(), ["only@n1"]);
}

#[test]
fn a_report_of_another_attempt_is_refused() {
    let mut stage = Stage::new(&["n1", "n2"], vec![role("only", json!({}))]);
    stage.apply();
    let attempt = stage.handed[0];
    let owner = stage.world.attempts()[&attempt].node.clone().unwrap();
    let other = if owner == name("n1") { "n2" } else { "n1" };
    let report = rebar_model::Report::Cancelled;
    let input = Input::AttemptEnded { node: Some(name(other)), attempt, report, phase: None };
    assert!(stage.input(input).is_err());
    assert_eq!(stage.word("only@n1"), "running");
}

#[test]
fn what_an_attempt_leaves_is_what_it_was_whatever_is_planned_meanwhile() {
    let size = json!({"inputs": {"size": {"schema": {}, "from": {"deployment": "size"}, "onChange": "redeploy"}}});
    let mut stage = Stage::new(&["n1"], vec![role("store", size)]);
    stage.apply();
    stage.set_size(2);
    stage.apply();
    // The attempt under way made it with the size before: with the new one it is redeployed, not merely run again.
    stage.succeed("store@n1", json!({}));
    assert_eq!(stage.running(), ["store@n1"]);
    let kinds: Vec<_> = stage.world.attempts().values().map(|it| it.kind).collect();
    assert_eq!(kinds, [rebar_model::AttemptKind::Replace]);
}
