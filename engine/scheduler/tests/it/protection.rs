//! What must not be lost: nothing of a protected role is taken away unless an operator names it.

use rebar_model::RoleName;
use rebar_scheduler::{Command, NodeRemoval, Progress, Refusal, plan, protected};
use serde_json::{Value, json};

use crate::stage::{Stage, demo, name, role, workload};

/// A protected store on every node, which is redeployed when `size` or the seal of the leader changes, and something on top.
fn roles() -> Vec<(String, Value)> {
    let store = json!({
        "protect": true,
        "inputs": {
            "size": {"schema": {}, "from": {"deployment": "size"}, "onChange": "redeploy"},
            "seal": {"schema": {}, "from": {"role": "seal", "output": "out", "take": "leader"}, "onChange": "redeploy"},
            "hint": {"schema": {}, "from": {"deployment": "hint"}},
        },
    });
    let seal = json!({
        "scope": "leader", "inputs": {"tint": {"schema": {}, "from": {"deployment": "tint"}}},
        "outputs": {"out": {"schema": {}}},
    });
    vec![role("store", store), role("seal", seal), role("top", json!({"requires": [{"role": "store"}]}))]
}

fn parameters() -> Value {
    json!({"inputs": {"hint": {"schema": {}, "default": 0}, "tint": {"schema": {}, "default": 0}}})
}

fn settled(nodes: &[&str]) -> Stage {
    let mut stage = Stage::with(nodes, workload("1.0.0", roles(), parameters()));
    assert_eq!(names(&stage), [""; 0], "nothing is there that could be lost");
    stage.apply();
    stage.settle(|_| json!("made"));
    stage.news();
    stage
}

/// The protected roles of the plan.
fn names(stage: &Stage) -> Vec<String> {
    plan(&stage.world, &demo()).unwrap().protected.iter().map(ToString::to_string).collect()
}

fn accept(stage: &mut Stage, allowed: &[&str]) -> Result<Progress, Refusal> {
    let plan = plan(&stage.world, &demo()).unwrap();
    let allowed = allowed.iter().map(|it| name(it)).collect();
    stage.command(Command::Accept {
        deployment: demo(),
        plan: plan.id,
        made: None,
        towards: None,
        grants: Vec::new(),
        allowed,
    })
}

/// Refused without the name, with nothing changed; done with it.
fn asks(stage: &mut Stage, command: impl Fn(Vec<RoleName>) -> Command) {
    let before = stage.world.clone();
    let refusal = stage.command(command(vec![name("top")])).unwrap_err();
    assert_eq!(refusal, Refusal::Protected { roles: vec![name("store")] });
    assert_eq!(refusal.code(), "RB2012");
    assert!(stage.world == before, "a refusal changes nothing");
    stage.command(command(vec![name("store")])).unwrap();
}

#[test]
fn a_change_that_redeploys_it_names_it() {
    let mut stage = settled(&["n1"]);
    stage.set_size(2);
    assert_eq!(names(&stage), ["store"]);
    assert!(matches!(accept(&mut stage, &[]), Err(Refusal::Protected { .. })));
    accept(&mut stage, &["store"]).unwrap();
    assert_eq!(stage.running(), ["store@n1"]);
    // While it is being redeployed the value it had before is no less a change.
    stage.set_size(1);
    assert_eq!(names(&stage), ["store"]);
}

#[test]
fn a_change_that_runs_it_again_does_not() {
    let mut stage = settled(&["n1"]);
    stage.set(rebar_model::ParameterScope::Global, "hint", json!(7));
    assert_eq!(names(&stage), [""; 0]);
    accept(&mut stage, &[]).unwrap();
    assert_eq!(stage.running(), ["store@n1"]);
}

#[test]
fn a_change_upstream_that_may_redeploy_it_names_it() {
    let mut stage = settled(&["n1"]);
    stage.set(rebar_model::ParameterScope::Global, "tint", json!(7));
    assert_eq!(names(&stage), ["store"], "the seal may come out differently");
    accept(&mut stage, &["store"]).unwrap();
    stage.succeed("seal@n1", json!({"out": "another"}));
    assert_eq!(stage.running(), ["store@n1"]);
    stage.settle(|_| json!("another"));
    assert_eq!(names(&stage), [""; 0]);
}

#[test]
fn a_first_run_under_way_can_be_lost_too() {
    let mut stage = Stage::with(&["n1"], workload("1.0.0", roles(), parameters()));
    stage.apply();
    stage.succeed("seal@n1", json!({"out": "made"}));
    assert_eq!((stage.running(), names(&stage)), (vec!["store@n1".to_owned()], Vec::new()));
    stage.set_size(2);
    assert_eq!(names(&stage), ["store"]);
}

#[test]
fn a_retired_one_is_named_once() {
    let mut stage = settled(&["n1", "n2"]);
    stage.members(&["n1"]);
    let step = |stage: &Stage| {
        let plan = plan(&stage.world, &demo()).unwrap();
        plan.steps.iter().filter(|it| it.undoes).map(|it| it.spec.id.local()).collect::<Vec<_>>()
    };
    assert_eq!(step(&stage), ["store@n2", "top@n2"]);
    assert!(matches!(accept(&mut stage, &[]), Err(Refusal::Protected { .. })));
    accept(&mut stage, &["store"]).unwrap();
    assert_eq!(stage.running(), ["top@n2"]);
    stage.set(rebar_model::ParameterScope::Global, "hint", json!(7));
    assert_eq!(names(&stage), [""; 0], "it is on its way out already");
}

#[test]
fn a_plan_cannot_unprotect_and_take_away_at_once() {
    let mut stage = settled(&["n1"]);
    let mut roles = roles();
    roles[0].1["protect"] = json!(false);
    let free = workload("1.1.0", roles, parameters());
    let digest = free.digest;
    stage.command(Command::ImportWorkload { workload: std::sync::Arc::new(free) }).unwrap();
    let mut spec = stage.world.deployments()[&demo()].spec.clone();
    spec.workload = digest;
    stage.command(Command::ChangeDeployment { name: demo(), spec }).unwrap();
    assert_eq!(names(&stage), [""; 0], "to unprotect it takes nothing away");
    stage.set_size(2);
    assert_eq!(names(&stage), ["store"]);
    stage.set_size(1);
    accept(&mut stage, &[]).unwrap();
    stage.settle(|_| json!("made"));
    stage.set_size(2);
    assert_eq!(names(&stage), [""; 0]);
}

#[test]
fn rebuild_and_destroy_ask_for_its_name() {
    let mut stage = settled(&["n1"]);
    assert_eq!(protected(&stage.world, &demo()), [name("store")]);
    asks(&mut stage, |allowed| Command::Rebuild { deployment: demo(), allowed });
    assert_eq!(protected(&stage.world, &demo()), [], "it goes, and that was said");
    stage.settle(|_| json!("made"));
    assert_eq!(stage.word("store@n1"), "active");
    asks(&mut stage, |allowed| Command::Destroy { deployment: demo(), allowed });
    stage.settle(|_| json!(0));
    assert!(stage.world.deployments().is_empty());
}

#[test]
fn forgetting_it_with_its_node_is_possible_and_named() {
    let mut stage = settled(&["n1", "n2"]);
    asks(&mut stage, |allowed| Command::RemoveNode { node: name("n2"), removal: NodeRemoval::Gone { allowed } });
    assert_eq!((stage.word("store@n2"), stage.word("store@n1")), ("gone", "active"));
    assert_eq!(names(&stage), [""; 0]);
}

#[test]
fn what_never_ran_has_nothing_to_lose() {
    let mut stage = Stage::with(&["n1"], workload("1.0.0", roles(), parameters()));
    stage.apply();
    assert_eq!(stage.running(), ["seal@n1"]);
    stage.command(Command::Destroy { deployment: demo(), allowed: Vec::new() }).unwrap();
}
