//! Why is this not running? The answer for each way of not running.

use rebar_model::{FailureKind, NodeMode, Reason, Standing, WhoActs};
use rebar_scheduler::{Command, Input, verdict};
use serde_json::json;

use crate::stage::{Stage, demo, name, role};

fn ask(stage: &Stage, local: &str) -> (Standing, WhoActs, Reason) {
    let verdict = verdict(&stage.world, &stage.id(local), stage.now).unwrap();
    (verdict.standing, verdict.who, verdict.reasons.into_iter().next().unwrap())
}

fn pair() -> Stage {
    let mut stage =
        Stage::new(&["n1"], vec![role("base", json!({})), role("top", json!({"requires": [{"role": "base"}]}))]);
    stage.apply();
    stage
}

#[test]
fn it_waits_for_something_upstream() {
    let stage = pair();
    let unmet = vec![stage.id("base@n1")];
    assert_eq!(ask(&stage, "top@n1"), (Standing::Waiting, WhoActs::Rebar, Reason::UpstreamWaiting { unmet, count: 1 }));
    assert!(matches!(ask(&stage, "base@n1"), (Standing::Running, WhoActs::Rebar, Reason::Running { .. })));
}

#[test]
fn something_upstream_failed() {
    let mut stage = pair();
    stage.fail("base@n1", FailureKind::Error);
    let root = stage.id("base@n1");
    assert_eq!(ask(&stage, "top@n1"), (Standing::Blocked, WhoActs::You, Reason::UpstreamFailed { root }));
    assert!(matches!(ask(&stage, "base@n1"), (Standing::Failed, WhoActs::You, Reason::Failed { number: 1, .. })));
}

#[test]
fn a_failure_is_found_so_far_up_and_beyond_that_the_neighbour_is_named() {
    // As `src/judge.rs` has it; the first neighbour is at depth 0.
    const DEEPEST: usize = 64;
    let link = |at: usize| {
        let requires: Vec<_> = at.checked_sub(1).map(|it| json!({"role": format!("r{it}")})).into_iter().collect();
        role(&format!("r{at}"), json!({"requires": requires}))
    };
    let mut stage = Stage::new(&["n1"], (0..=DEEPEST + 2).map(link).collect());
    stage.apply();
    stage.fail("r0@n1", FailureKind::Error);
    let local = |at: usize| format!("r{at}@n1");
    let root = stage.id("r0@n1");
    let blocked = (Standing::Blocked, WhoActs::You, Reason::UpstreamFailed { root });
    assert_eq!(ask(&stage, &local(DEEPEST + 1)), blocked);
    let unmet = vec![stage.id(&local(DEEPEST + 1))];
    let waiting = (Standing::Waiting, WhoActs::Rebar, Reason::UpstreamWaiting { unmet, count: 1 });
    assert_eq!(ask(&stage, &local(DEEPEST + 2)), waiting);
}

#[test]
fn where_many_stand_on_many_each_is_looked_at_once() {
    // There are 5 to the power of 19 ways from the last layer to the first.
    let layer = |at: usize| {
        let requires: Vec<_> =
            at.checked_sub(1).map(|it| json!({"role": format!("r{it}"), "take": "all"})).into_iter().collect();
        role(&format!("r{at}"), json!({"requires": requires}))
    };
    let nodes = ["n1", "n2", "n3", "n4", "n5"];
    let mut stage = Stage::new(&nodes, (0..20).map(layer).collect());
    stage.apply();
    let unmet = nodes.map(|it| stage.id(&format!("r18@{it}"))).to_vec();
    let waiting = (Standing::Waiting, WhoActs::Rebar, Reason::UpstreamWaiting { unmet, count: 5 });
    assert_eq!(ask(&stage, "r19@n1"), waiting);
    stage.fail("r0@n5", FailureKind::Error);
    let root = stage.id("r0@n5");
    assert_eq!(ask(&stage, "r19@n1"), (Standing::Blocked, WhoActs::You, Reason::UpstreamFailed { root }));
}

#[test]
fn a_lock_is_held() {
    let lock = json!({"concurrency": {"lock": "apt"}});
    let mut stage = Stage::new(&["n1"], vec![role("a", lock.clone()), role("b", lock)]);
    stage.apply();
    let holder = stage.id("a@n1");
    let reason = Reason::LockHeld { lock: name("apt"), holder };
    assert_eq!(ask(&stage, "b@n1"), (Standing::Queued, WhoActs::Rebar, reason));
}

#[test]
fn its_node_is_away_or_in_maintenance() {
    let mut stage = Stage::new(&["n1"], vec![role("only", json!({}))]);
    stage.input(Input::AgentLost { node: name("n1") }).unwrap();
    stage.apply();
    assert!(matches!(ask(&stage, "only@n1"), (Standing::Blocked, WhoActs::You, Reason::NodeAway { .. })));
    let mode = NodeMode::Maintenance { reason: "new disk".to_owned() };
    stage.command(Command::SetNodeMode { node: name("n1"), mode }).unwrap();
    stage.input(Input::AgentConnected { node: name("n1"), held: Vec::new() }).unwrap();
    assert!(matches!(ask(&stage, "only@n1"), (Standing::Blocked, WhoActs::You, Reason::NodeMaintenance { .. })));
    stage.command(Command::SetNodeMode { node: name("n1"), mode: NodeMode::Ready }).unwrap();
    assert_eq!(stage.running(), ["only@n1"]);
}

#[test]
fn the_deployment_is_paused() {
    let mut stage = pair();
    stage.command(Command::Pause { deployment: demo(), reason: "lunch".to_owned() }).unwrap();
    stage.succeed("base@n1", json!({}));
    assert_eq!(ask(&stage, "top@n1"), (Standing::Held, WhoActs::You, Reason::Paused { reason: "lunch".to_owned() }));
}

#[test]
fn it_is_tried_again_later() {
    let mut stage = pair();
    stage.fail("base@n1", FailureKind::Tempfail);
    assert!(matches!(ask(&stage, "base@n1"), (Standing::Queued, WhoActs::Rebar, Reason::BackOff { tries: 1, .. })));
}

#[test]
fn nothing_is_wrong() {
    let mut stage = pair();
    stage.settle(|_| json!(0));
    let verdict = verdict(&stage.world, &stage.id("top@n1"), stage.now).unwrap();
    assert_eq!((verdict.standing, verdict.who, verdict.reasons), (Standing::Active, WhoActs::Nobody, Vec::new()));
}
