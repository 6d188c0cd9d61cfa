//! What agents are handed beside scripts: reboots of their machines, and files of templates that come and go without a phase.

use rebar_model::{AttemptId, AttemptKind, FailureKind, Phase, Report, Span, World};
use rebar_scheduler::{Command, Effect, Input, NodeRemoval};
use serde_json::{Value, json};

use crate::stage::{Stage, demo, name, role};

/// A role on every node that reboots it, and nothing else.
fn reboot() -> (String, Value) {
    let spec = json!({
        "scope": "node", "bind": {"groups": ["all"]}, "runner": {"type": "builtin", "action": "node.reboot"},
        "requires": [{"role": "base", "optional": true}],
    });
    ("reboot".to_owned(), spec)
}

/// A role on every node that is nothing but a file, with these phases.
fn file(phases: Value) -> (String, Value) {
    let spec = json!({
        "scope": "node", "bind": {"groups": ["all"]}, "phases": phases,
        "runner": {"type": "script", "templates": {"motd.tera": "/etc/motd"}},
    });
    ("file".to_owned(), spec)
}

fn phases(world: &World, attempt: AttemptId) -> (AttemptKind, &[Phase]) {
    let attempt = &world.attempts()[&attempt];
    (attempt.kind, &attempt.phases)
}

/// How long the only attempt under way may take, in seconds.
fn allowed(stage: &Stage) -> i64 {
    let attempt = &stage.world.attempts()[&stage.handed[0]];
    attempt.deadline.as_second() - attempt.started_at.as_second()
}

#[test]
fn a_reboot_is_handed_to_the_agent_and_leaves_nothing_to_undo() {
    let mut stage = Stage::new(&["n1"], vec![reboot(), role("top", json!({"requires": [{"role": "reboot"}]}))]);
    stage.apply();
    assert_eq!(stage.running(), ["reboot@n1"]);
    assert_eq!(phases(&stage.world, stage.handed[0]), (AttemptKind::Apply, &[][..]));
    stage.succeed("reboot@n1", json!({}));
    assert_eq!((stage.word("reboot@n1"), stage.running()), ("active", vec!["top@n1".to_owned()]));
    stage.succeed("top@n1", json!({}));
    stage.news();
    // It has been, and is not done again because somebody looks.
    stage.apply();
    assert_eq!(stage.news(), [""; 0]);
    stage.command(Command::Destroy { deployment: demo(), allowed: Vec::new() }).unwrap();
    stage.settle(|_| json!(null));
    assert_eq!((stage.news(), stage.word("reboot@n1")), (vec!["top@n1".to_owned()], "gone"));
}

#[test]
fn a_machine_that_reboots_is_away_for_a_while_and_the_attempt_goes_on() {
    let mut stage = Stage::new(&["n1"], vec![reboot()]);
    stage.apply();
    let attempt = stage.handed[0];
    stage.input(Input::AgentLost { node: name("n1") }).unwrap();
    stage.pass(Span::from_secs(10 * 60));
    // The agent comes back with it in its journal: it is not handed out again. Without, it is.
    let back = |held| Input::AgentConnected { node: name("n1"), held };
    let effects = stage.input(back(vec![attempt])).unwrap().effects;
    assert!(effects.iter().all(|it| !matches!(it, Effect::Dispatch { .. } | Effect::Cancel { .. })), "{effects:?}");
    let effects = stage.input(back(Vec::new())).unwrap().effects;
    assert!(effects.contains(&Effect::Dispatch { node: name("n1"), attempt }), "{effects:?}");
    stage.handed.truncate(1);
    stage.succeed("reboot@n1", json!({}));
    assert_eq!(stage.word("reboot@n1"), "active");
}

#[test]
fn a_machine_that_does_not_come_back_is_a_lost_agent() {
    let mut stage = Stage::new(&["n1"], vec![reboot()]);
    stage.apply();
    assert_eq!(allowed(&stage), 15 * 60);
    stage.input(Input::AgentLost { node: name("n1") }).unwrap();
    stage.pass(Span::from_secs(15 * 60));
    assert_eq!((stage.running(), stage.cancelled.len()), (vec![], 1));
    let status = &stage.world.node_role(&stage.id("reboot@n1")).unwrap().status;
    assert_eq!(status.tries, 1, "what a lost agent did not finish is tried again when it is back");
}

#[test]
fn a_reboot_that_nobody_wants_any_more_is_cancelled() {
    let mut stage = Stage::new(&["n1"], vec![reboot()]);
    stage.apply();
    let attempt = stage.handed[0];
    stage.command(Command::Cancel { deployment: demo(), reason: "wrong day".to_owned() }).unwrap();
    assert_eq!(stage.cancelled, [attempt]);
    stage.end("reboot@n1", Report::Cancelled);
    assert_eq!(stage.running(), [""; 0]);
    let removal = NodeRemoval::Gone { allowed: Vec::new() };
    stage.command(Command::RemoveNode { node: name("n1"), removal }).unwrap();
    assert_eq!(stage.word("reboot@n1"), "gone");
}

#[test]
fn a_reboot_has_time_for_the_neighbours_that_it_waits_for() {
    let slow = role("slow", json!({"phases": {"apply": {"timeout": "1h"}}}));
    let mut stage = Stage::new(&["n1"], vec![slow, role("base", json!({})), reboot()]);
    stage.apply();
    stage.succeed("base@n1", json!({}));
    assert_eq!(stage.running(), ["reboot@n1", "slow@n1"]);
    stage.pass(Span::from_secs(30 * 60));
    stage.succeed("slow@n1", json!({}));
    // An hour, a minute of slack, and a quarter of an hour.
    assert_eq!(allowed(&stage), (60 + 1 + 15) * 60);
}

#[test]
fn a_role_that_may_reboot_has_time_for_it() {
    for (policy, seconds) in [("never", 70), ("allowed", 70 + 15 * 60), ("always", 70 + 15 * 60)] {
        let mut stage = Stage::new(&["n1"], vec![role("base", json!({"reboot": policy}))]);
        stage.apply();
        assert_eq!(allowed(&stage), seconds, "{policy}");
    }
}

#[test]
fn files_of_templates_come_and_go_without_a_phase() {
    let mut stage = Stage::new(&["n1"], vec![file(json!({}))]);
    stage.apply();
    assert_eq!(phases(&stage.world, stage.handed[0]), (AttemptKind::Apply, &[][..]));
    stage.succeed("file@n1", json!({}));
    stage.members(&[]);
    stage.apply();
    assert_eq!(phases(&stage.world, stage.handed[0]), (AttemptKind::Undo, &[][..]));
    // One that fails waits for a person, as every undo does.
    stage.fail("file@n1", FailureKind::Setup);
    assert_eq!(stage.word("file@n1"), "failed");
    stage.command(Command::Retry { deployment: demo(), ids: Vec::new() }).unwrap();
    stage.succeed("file@n1", json!({}));
    assert_eq!(stage.word("file@n1"), "gone");
}

#[test]
fn files_of_templates_go_after_apply_had_no_undo() {
    let mut stage = Stage::new(&["n1"], vec![file(json!({"apply": {"run": "apply.sh"}}))]);
    stage.apply();
    stage.succeed("file@n1", json!({}));
    stage.command(Command::Rebuild { deployment: demo(), allowed: Vec::new() }).unwrap();
    assert_eq!(phases(&stage.world, stage.handed[0]), (AttemptKind::Undo, &[][..]));
    stage.succeed("file@n1", json!({}));
    assert_eq!(phases(&stage.world, stage.handed[0]), (AttemptKind::Apply, &[Phase::Apply][..]));
}

#[test]
fn a_script_with_nothing_to_do_is_done_at_once() {
    let spec = json!({"scope": "node", "bind": {"groups": ["all"]}, "runner": {"type": "script"}, "phases": {}});
    let mut stage = Stage::new(&["n1"], vec![("empty".to_owned(), spec)]);
    stage.apply();
    assert_eq!((stage.running().len(), stage.word("empty@n1")), (0, "active"));
}
