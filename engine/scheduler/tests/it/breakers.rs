//! Breakers: what opens them and what does not, that nothing starts behind one, and what people do.

use std::collections::BTreeSet;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rebar_model::{BreakerState, Evidence, FailureKind, NodeRoleId, Reason, Span, Standing, WhoActs};
use rebar_scheduler::{Command, bounds, plan, verdict};
use serde_json::{Value, json};

use crate::stage::{Stage, demo, name, role, workload};

/// Nodes n1 and so on, with a role each that is tried once, three at a time, and a breaker.
fn stage(nodes: usize, breaker: Value) -> Stage {
    let names: Vec<String> = (1..=nodes).map(|it| format!("n{it}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let only = role("only", json!({"phases": {"apply": {"retries": {"max": 0}}}, "concurrency": {"perDeployment": 3}}));
    let mut stage = Stage::with(&names, workload("1.0.0", vec![only], json!({"rollout": {"breaker": breaker}})));
    stage.apply();
    stage
}

fn state(stage: &Stage) -> &BreakerState {
    &stage.world.deployments()[&demo()].breaker.state
}

fn evidence(stage: &Stage) -> Option<Evidence> {
    match state(stage) {
        BreakerState::Open { evidence, .. } => Some(evidence.clone()),
        _ => None,
    }
}

fn next(stage: &Stage) -> String {
    stage.running().first().cloned().expect("something runs")
}

fn trip(stage: &mut Stage) {
    stage.command(Command::TripBreaker { deployment: demo(), reason: "errors".to_owned() }).unwrap();
}

fn reset(stage: &mut Stage, probe: bool) {
    stage.command(Command::ResetBreaker { deployment: demo(), probe }).unwrap();
}

#[test]
fn so_many_failures_in_a_row_open_it() {
    let mut stage = stage(20, json!({"consecutive": 3}));
    for result in ["bad", "bad", "good", "bad", "bad"] {
        let address = next(&stage);
        match result {
            "good" => stage.succeed(&address, json!({})),
            _ => stage.fail(&address, FailureKind::Error),
        }
        assert_eq!(evidence(&stage), None, "a success in between");
    }
    let last = stage.handed[0];
    stage.fail(&next(&stage), FailureKind::Error);
    assert_eq!(evidence(&stage), Some(Evidence::Consecutive { failures: 3, attempt: last }));
    // What runs goes on to its end, and nothing follows it.
    assert_eq!(stage.running().len(), 2);
    stage.news();
    stage.settle(|_| json!(0));
    assert_eq!(stage.news(), [""; 0]);
    let held = stage.world.node_roles_of(&demo()).map(|(id, _)| verdict(&stage.world, id, stage.now).unwrap());
    let held: Vec<_> = held.filter(|it| it.standing == Standing::Held).collect();
    assert_eq!(held.len(), 20 - 8);
    assert!(held.iter().all(|it| it.who == WhoActs::You && matches!(it.reasons[0], Reason::BreakerOpen { .. })));
}

#[test]
fn failures_on_more_nodes_than_may_fail_open_it() {
    // A tenth of 25 nodes is two of them.
    let mut stage = stage(25, json!({"maxFailed": "10%"}));
    assert_eq!(bounds(&stage.world, &stage.world.deployments()[&demo()]).max_failed, Some(2));
    for _ in 0..2 {
        stage.fail(&next(&stage), FailureKind::Error);
        stage.succeed(&next(&stage), json!({}));
        assert_eq!(evidence(&stage), None);
    }
    stage.fail(&next(&stage), FailureKind::Timeout);
    assert!(matches!(evidence(&stage), Some(Evidence::Failed { nodes: 3, allowed: 2, .. })));
}

#[test]
fn retries_do_not_talk_it_past() {
    let retried = json!({"phases": {"apply": {"retries": {"max": 9, "initial": "1s", "factor": 1, "reasons": ["error", "tempfail"]}}}});
    let spec = json!({"rollout": {"breaker": {"consecutive": 3}}});
    let mut stage = Stage::with(&["n1", "n2"], workload("1.0.0", vec![role("only", retried)], spec));
    stage.apply();
    stage.succeed("only@n2", json!({}));
    // That a role asks to be tried again is no failure.
    for _ in 0..5 {
        stage.fail("only@n1", FailureKind::Tempfail);
        stage.pass(Span::from_secs(60));
    }
    assert_eq!(evidence(&stage), None);
    for _ in 0..2 {
        stage.fail("only@n1", FailureKind::Error);
        stage.pass(Span::from_secs(60));
    }
    stage.fail("only@n1", FailureKind::Error);
    assert!(matches!(evidence(&stage), Some(Evidence::Consecutive { failures: 3, .. })));
    stage.pass(Span::from_secs(3_600));
    assert_eq!(stage.running(), [""; 0], "its next try does not start");
    // The last of all tries counts, whatever it asked for.
    let once = json!({"phases": {"apply": {"retries": {"max": 0}}}});
    let mut stage = Stage::with(
        &["n1"],
        workload("1.0.0", vec![role("only", once)], json!({"rollout": {"breaker": {"maxFailed": 0}}})),
    );
    stage.apply();
    stage.fail("only@n1", FailureKind::Tempfail);
    assert!(matches!(evidence(&stage), Some(Evidence::Failed { nodes: 1, allowed: 0, .. })));
}

#[test]
fn a_person_opens_and_closes_it() {
    let mut stage = stage(6, json!({}));
    trip(&mut stage);
    assert_eq!(evidence(&stage), Some(Evidence::Manual { reason: "errors".to_owned() }));
    let before = state(&stage).clone();
    stage.pass(Span::from_secs(1));
    trip(&mut stage);
    assert_eq!(*state(&stage), before, "it is open already");
    stage.settle(|_| json!(0));
    assert_eq!(stage.news().len(), 3);
    reset(&mut stage, false);
    assert_eq!(*state(&stage), BreakerState::Closed);
    assert_eq!(stage.running().len(), 3);
    stage.settle(|_| json!(0));
    assert!(stage.world.node_roles().values().all(|it| it.status.state.is_fresh()));
    // One that is closed has nothing to try.
    reset(&mut stage, true);
    assert_eq!(*state(&stage), BreakerState::Closed);
}

#[test]
fn one_is_tried_and_closes_it_or_opens_it_again() {
    let mut stage = stage(9, json!({"consecutive": 1}));
    let first = next(&stage);
    stage.fail(&first, FailureKind::Error);
    stage.settle(|_| json!(0));
    stage.news();
    reset(&mut stage, true);
    let tried = stage.news();
    assert_eq!(tried.len(), 1, "{tried:?}");
    let probe: NodeRoleId = stage.id(&tried[0]);
    assert!(matches!(state(&stage), BreakerState::HalfOpen { probe: Some(it), .. } if *it == probe));
    let waits = stage.world.node_roles_of(&demo()).map(|(id, _)| verdict(&stage.world, id, stage.now).unwrap());
    let waits: Vec<_> = waits.filter(|it| it.standing == Standing::Queued).collect();
    assert!(
        waits.len() == 5
            && waits.iter().all(|it| matches!(&it.reasons[0], Reason::BreakerTries { probe: it } if *it == probe))
    );
    stage.fail(&tried[0], FailureKind::Error);
    assert!(matches!(evidence(&stage), Some(Evidence::Probe { .. })));
    assert_eq!(stage.news(), [""; 0]);
    reset(&mut stage, true);
    let tried = stage.news();
    assert_eq!(tried.len(), 1);
    stage.succeed(&tried[0], json!({}));
    assert_eq!(*state(&stage), BreakerState::Closed);
    assert_eq!(stage.running().len(), 3, "all others go on");
}

#[test]
fn one_that_is_tried_and_vanishes_lets_another_be_tried() {
    let mut stage = stage(6, json!({}));
    trip(&mut stage);
    stage.settle(|_| json!(0));
    stage.news();
    reset(&mut stage, true);
    let tried = stage.news();
    let gone = stage.id(&tried[0]).node().cloned().unwrap();
    let removal = rebar_scheduler::NodeRemoval::Gone { allowed: Vec::new() };
    stage.command(Command::RemoveNode { node: gone, removal }).unwrap();
    stage.command(Command::Retry { deployment: demo(), ids: Vec::new() }).unwrap_err();
    stage.pass(Span::from_secs(1));
    // Whatever looks next is tried.
    stage.apply();
    assert_eq!(stage.running().len(), 1, "{:?}", state(&stage));
}

#[test]
fn another_plan_does_not_close_it_and_counts_anew_when_it_is_closed() {
    let mut stage = stage(6, json!({"consecutive": 2}));
    stage.fail(&next(&stage), FailureKind::Error);
    assert_eq!(stage.world.deployments()[&demo()].breaker.in_a_row, 1);
    stage.set_size(2);
    stage.apply();
    assert_eq!(stage.world.deployments()[&demo()].breaker, rebar_model::Breaker::default());
    trip(&mut stage);
    stage.settle(|_| json!(0));
    stage.news();
    stage.set_size(3);
    assert!(plan(&stage.world, &demo()).is_ok());
    stage.apply();
    assert!(evidence(&stage).is_some());
    assert_eq!(stage.news(), [""; 0]);
    // Whoever wipes it has decided.
    stage.command(Command::Destroy { deployment: demo(), allowed: Vec::new() }).unwrap();
    stage.settle(|_| json!(0));
    assert!(!stage.world.deployments().contains_key(&demo()));
}

#[test]
fn undoing_stops_as_well() {
    let mut stage = stage(4, json!({}));
    stage.settle(|_| json!(0));
    stage.members(&["n1", "n2"]);
    trip(&mut stage);
    stage.news();
    stage.apply();
    assert_eq!(stage.news(), [""; 0]);
    reset(&mut stage, false);
    assert_eq!(stage.running(), ["only@n3", "only@n4"]);
}

/// What a breaker should do, counted another way: over the whole list of ends.
fn opens_after(ends: &[(String, bool)], consecutive: u32, allowed: usize) -> Option<usize> {
    (1..=ends.len()).find(|count| {
        let seen = &ends[..*count];
        let row = seen.iter().rev().take_while(|(_, good)| !good).count();
        let failed: BTreeSet<&String> = seen.iter().filter(|(_, good)| !good).map(|(node, _)| node).collect();
        !seen[count - 1].1 && (row >= consecutive as usize || failed.len() > allowed)
    })
}

#[test]
fn it_opens_at_the_very_failure_that_its_policy_says() {
    for seed in 0..1_000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (nodes, consecutive) = (rng.random_range(4..40_usize), rng.random_range(1..5_u32));
        let (percent, share) = (rng.random_range(0..30_usize), rng.random_range(0..60));
        let mut stage = stage(nodes, json!({"consecutive": consecutive, "maxFailed": format!("{percent}%")}));
        let mut ends: Vec<(String, bool)> = Vec::new();
        while !stage.running().is_empty() {
            let running = stage.running();
            let address = running[rng.random_range(0..running.len())].clone();
            let (good, was_open) = (rng.random_range(0..100) >= share, evidence(&stage).is_some());
            stage.news();
            if good {
                stage.succeed(&address, json!({}));
            } else {
                stage.fail(&address, FailureKind::Error);
            }
            if was_open {
                assert_eq!(stage.news(), [""; 0], "seed {seed}: something started behind it");
                continue;
            }
            ends.push((address, good));
            let expected = opens_after(&ends, consecutive, nodes * percent / 100);
            assert_eq!(evidence(&stage).is_some(), expected == Some(ends.len()), "seed {seed}: {ends:?}");
            if expected.is_some() {
                assert_eq!(stage.news(), [""; 0], "seed {seed}: something started as it opened");
            }
        }
    }
}

#[test]
fn without_bounds_it_never_opens_by_itself() {
    // A deployment without a breaker in its workload never opens by itself.
    let mut stage = stage(9, json!({}));
    while let Some(address) = stage.running().first().cloned() {
        stage.fail(&address, FailureKind::Error);
    }
    assert_eq!(*state(&stage), BreakerState::Closed);
    assert!(stage.world.node_role(&name("demo/only@n9")).is_some_and(|it| it.status.state.word() == "failed"));
}
