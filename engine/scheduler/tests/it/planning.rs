//! Plans: what lands where, what inputs are bound to, what is wrong, what changed.

use rebar_model::{Action, DeploymentName, ParameterScope};
use rebar_scheduler::{Command, PlanError, Refusal, plan, why};
use serde_json::json;

use crate::stage::{Stage, demo, name, role, workload};

fn mistakes(stage: &Stage) -> Vec<String> {
    plan(&stage.world, &demo()).unwrap_err().iter().map(|it| format!("{} {it}", it.code())).collect()
}

fn actions(stage: &Stage) -> Vec<(String, Action)> {
    plan(&stage.world, &demo()).unwrap().steps.iter().map(|it| (it.spec.id.local(), it.action)).collect()
}

#[test]
fn every_mistake_is_reported_together() {
    let roles = vec![
        role("lonely", json!({"inputs": {"x": {"schema": {"type": "string"}}}})),
        role("typed", json!({"inputs": {"size": {"schema": {"type": "string"}, "from": {"deployment": "size"}}}})),
        role(
            "picky",
            json!({"scope": "leader", "inputs": {"x": {"schema": {}, "from": {"role": "many", "output": "out", "take": "one"}}}}),
        ),
        role("many", json!({"outputs": {"out": {"schema": {}}}, "provides": ["runtime"]})),
        role("rival", json!({"conflicts": ["runtime"]})),
        role("needy", json!({"requires": [{"capability": "nothing"}]})),
        role("hen", json!({"requires": [{"role": "egg"}]})),
        role("egg", json!({"requires": [{"role": "hen"}]})),
        role("factual", json!({"inputs": {"x": {"schema": {}, "from": {"node": "addresses.primary"}}}})),
    ];
    let mut stage = Stage::with(&["n1", "n2"], workload("1.0.0", roles, json!({"groups": {"all": {"min": 3}}})));
    stage.set(ParameterScope::Deployment(demo()), "colour", json!("red"));
    let codes: std::collections::BTreeSet<_> =
        plan(&stage.world, &demo()).unwrap_err().iter().map(PlanError::code).collect();
    let expected = ["RB3005", "RB3008", "RB3009", "RB3011", "RB3012", "RB3013", "RB3014", "RB3015"];
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), expected);
    let all = mistakes(&stage).join("\n");
    for part in [
        "group `all` has 2 nodes, and needs at least 3",
        "demo/lonely@n1: input `x` has no value: it has neither `from` nor a default in role.yaml",
        "it could be any of many@n1, many@n2",
        "egg@n1 → hen@n1 → egg@n1",
        "`rival` and `many` exclude each other on `n1`",
        "requires capability `nothing`",
        "1 is not of type \"string\"",
    ] {
        assert!(all.contains(part), "{part} is missing in\n{all}");
    }
}

#[test]
fn equal_worlds_give_equal_plans() {
    let roles = || vec![role("b", json!({})), role("a", json!({"after": ["b"]}))];
    let (one, two) = (Stage::new(&["n1", "n2"], roles()), Stage::new(&["n1", "n2"], roles()));
    assert_eq!(plan(&one.world, &demo()), plan(&two.world, &demo()));
    let order: Vec<_> = actions(&one).into_iter().map(|(id, _)| id).collect();
    assert_eq!(order, ["b@n1", "b@n2", "a@n1", "a@n2"]);
}

#[test]
fn parameters_are_decided_by_the_nearest_level() {
    let sized = role("sized", json!({"inputs": {"size": {"schema": {}, "from": {"deployment": "size"}}}}));
    let mut stage = Stage::new(&["n1", "n2"], vec![sized]);
    let value = |stage: &mut Stage, node: &str| {
        stage.apply();
        stage.settle(|_| json!(0));
        why(&stage.world, &stage.id(&format!("sized@{node}")), &name("size")).unwrap()
    };
    assert_eq!(value(&mut stage, "n1").value, Some(json!(1)));
    stage.set(ParameterScope::Global, "size", json!(2));
    assert_eq!(value(&mut stage, "n1").value, Some(json!(2)));
    stage.set_size(3);
    stage.set(ParameterScope::Node(name("n2")), "size", json!(4));
    assert_eq!(value(&mut stage, "n1").value, Some(json!(3)));
    let explained = value(&mut stage, "n2");
    assert_eq!((explained.value, explained.origin.as_str()), (Some(json!(4)), "node/n2"));
    let levels: Vec<_> = explained.layers.iter().map(|it| (it.level.as_str(), it.wins)).collect();
    let expected =
        [("workload default stage@1.0.0", false), ("global", false), ("deployment/demo", false), ("node/n2", true)];
    assert_eq!(levels, expected);
}

#[test]
fn a_value_is_explained_through_every_hop() {
    let roles = vec![
        role(
            "base",
            json!({"inputs": {"size": {"schema": {}, "from": {"deployment": "size"}}}, "outputs": {"out": {"schema": {}}}}),
        ),
        role("top", json!({"inputs": {"in": {"schema": {}, "from": {"role": "base", "output": "out"}}}})),
    ];
    let mut stage = Stage::new(&["n1"], roles);
    stage.apply();
    stage.settle(|_| json!("made"));
    let explained = why(&stage.world, &stage.id("top@n1"), &name("in")).unwrap();
    assert_eq!(explained.value, Some(json!("made")));
    let producer = &explained.producers[0];
    assert_eq!(
        (producer.id.local(), producer.inputs[0].origin.as_str()),
        ("base@n1".to_owned(), "workload default stage@1.0.0")
    );
}

#[test]
fn a_value_is_explained_through_so_many_hops() {
    // As `src/why.rs` has it; the first producer is at hop 0.
    const MOST: usize = 16;
    let link = |at: usize| {
        let from = at.checked_sub(1).map(|it| json!({"role": format!("r{it}"), "output": "out"}));
        let inputs = from.map_or(json!({}), |it| json!({"in": {"schema": {}, "from": it}}));
        role(&format!("r{at}"), json!({"inputs": inputs, "outputs": {"out": {"schema": {}}}}))
    };
    let mut stage = Stage::new(&["n1"], (0..=MOST + 2).map(link).collect());
    stage.apply();
    stage.settle(|_| json!("made"));
    let last = |at: usize| {
        let mut explained = why(&stage.world, &stage.id(&format!("r{at}@n1")), &name("in")).unwrap();
        loop {
            let mut producer = explained.producers.remove(0);
            match producer.inputs.pop() {
                Some(further) => explained = further,
                None => return producer.id.local(),
            }
        }
    };
    assert_eq!(last(MOST + 1), "r0@n1", "to where it began");
    assert_eq!(last(MOST + 2), "r1@n1", "and no further");
}

#[test]
fn where_many_take_from_many_so_many_producers_are_followed() {
    // As `src/why.rs` has it; each of five nodes takes from all five, layer by layer.
    const MOST: usize = 10_000;
    let nodes = ["n1", "n2", "n3", "n4", "n5"];
    let layer = |at: usize| {
        let from = at.checked_sub(1).map(|it| json!({"role": format!("r{it}"), "output": "out", "take": "all"}));
        let inputs = from.map_or(json!({}), |it| json!({"in": {"schema": {}, "from": it}}));
        role(&format!("r{at}"), json!({"inputs": inputs, "outputs": {"out": {"schema": {}}}}))
    };
    let mut stage = Stage::new(&nodes, (0..14).map(layer).collect());
    stage.apply();
    stage.settle(|_| json!("made"));
    let named = |at: usize| {
        let mut open = vec![why(&stage.world, &stage.id(&format!("r{at}@n1")), &name("in")).unwrap()];
        let mut named = 0;
        while let Some(explained) = open.pop() {
            named += explained.producers.len();
            open.extend(explained.producers.into_iter().flat_map(|it| it.inputs));
        }
        named
    };
    assert_eq!(named(5), 5 + 25 + 125 + 625 + 3_125, "all of them");
    for layers in [6, 13] {
        assert_eq!(named(layers), MOST, "and no more");
    }
}

#[test]
fn two_profiles_that_disagree_are_a_mistake() {
    let sized = role("sized", json!({"inputs": {"size": {"schema": {}, "from": {"deployment": "size"}}}}));
    let mut stage = Stage::new(&["n1"], vec![sized]);
    let mut spec = stage.world.deployments()[&demo()].spec.clone();
    spec.profiles = vec![name("east"), name("west")];
    stage.command(Command::ChangeDeployment { name: demo(), spec }).unwrap();
    stage.set(ParameterScope::Profile(name("east")), "size", json!(2));
    stage.set(ParameterScope::Profile(name("west")), "size", json!(3));
    assert!(mistakes(&stage)[0].contains("profile/east and profile/west"));
    stage.set(ParameterScope::Profile(name("west")), "size", json!(2));
    assert!(plan(&stage.world, &demo()).is_ok());
}

#[test]
fn a_plan_says_what_changes_and_what_only_may() {
    let roles = vec![
        role(
            "base",
            json!({"inputs": {"size": {"schema": {}, "from": {"deployment": "size"}}}, "outputs": {"out": {"schema": {}}}}),
        ),
        role("top", json!({"inputs": {"in": {"schema": {}, "from": {"role": "base", "output": "out"}}}})),
        role("aside", json!({})),
    ];
    let mut stage = Stage::new(&["n1"], roles);
    stage.apply();
    stage.settle(|_| json!(1));
    stage.set_size(2);
    let found = actions(&stage);
    let expected = [("aside@n1", Action::Keep), ("base@n1", Action::Change), ("top@n1", Action::Maybe)];
    assert_eq!(found, expected.map(|(id, action)| (id.to_owned(), action)));
    let plan = plan(&stage.world, &demo()).unwrap();
    let difference = &plan.steps.iter().find(|it| it.action == Action::Change).unwrap().differences[0];
    assert_eq!((&difference.before, &difference.after), (&Some(json!(1)), &Some(json!(2))));
    assert_eq!(difference.origin.as_deref(), Some("deployment/demo"));
}

#[test]
fn a_plan_that_would_be_made_differently_now_is_stale() {
    let mut stage = Stage::new(
        &["n1"],
        vec![role("only", json!({"inputs": {"s": {"schema": {}, "from": {"deployment": "size"}}}}))],
    );
    let old = plan(&stage.world, &demo()).unwrap();
    stage.set_size(7);
    let accept = Command::Accept {
        deployment: demo(),
        plan: old.id,
        made: None,
        towards: None,
        grants: Vec::new(),
        allowed: Vec::new(),
    };
    assert!(matches!(stage.command(accept), Err(Refusal::StalePlan { .. })));
    assert_eq!(stage.running(), [""; 0]);
}

#[test]
fn destructive_roles_need_a_grant() {
    let mut stage = Stage::new(&["n1"], vec![role("wipe", json!({"destructive": true}))]);
    let plan = plan(&stage.world, &demo()).unwrap();
    let accept = |grants| Command::Accept {
        deployment: demo(),
        plan: plan.id,
        made: None,
        towards: None,
        grants,
        allowed: Vec::new(),
    };
    assert!(matches!(stage.command(accept(Vec::new())), Err(Refusal::NotGranted { .. })));
    stage.command(accept(vec![name("wipe")])).unwrap();
    assert_eq!(stage.running(), ["wipe@n1"]);
}

#[test]
fn capabilities_let_a_module_be_exchanged() {
    let user = role("user", json!({"requires": [{"capability": "runtime"}]}));
    for module in ["containerd", "crio"] {
        let provider = role(module, json!({"provides": ["runtime"]}));
        let mut stage = Stage::new(&["n1"], vec![user.clone(), provider]);
        stage.apply();
        assert_eq!(stage.running(), [format!("{module}@n1")]);
        stage.succeed(&format!("{module}@n1"), json!({}));
        assert_eq!(stage.running(), ["user@n1"]);
    }
}

#[test]
fn implicit_roles_land_only_where_they_are_needed() {
    let helper = role("helper", json!({"bind": {"groups": ["all"], "implicit": true}}));
    let stage = Stage::new(&["n1"], vec![helper.clone(), role("alone", json!({}))]);
    assert_eq!(actions(&stage).len(), 1);
    let stage = Stage::new(&["n1"], vec![helper, role("needs", json!({"requires": [{"role": "helper"}]}))]);
    assert_eq!(actions(&stage).len(), 2);
}

#[test]
fn a_leader_is_elected_once_and_stays() {
    let mut stage = Stage::new(&["n1", "n2"], vec![role("boss", json!({"scope": "leader"}))]);
    stage.apply();
    stage.settle(|_| json!(0));
    stage.add_node("n0");
    stage.members(&["n0", "n1", "n2"]);
    assert_eq!(actions(&stage), [("boss@n1".to_owned(), Action::Keep)]);
    stage.members(&["n0", "n2"]);
    assert_eq!(actions(&stage), [("boss@n0".to_owned(), Action::Create), ("boss@n1".to_owned(), Action::Retire)]);
}

#[test]
fn an_unknown_deployment_is_said_so() {
    let stage = Stage::new(&["n1"], Vec::new());
    let missing: DeploymentName = name("other");
    assert!(matches!(plan(&stage.world, &missing).unwrap_err()[..], [PlanError::NoDeployment { .. }]));
}
