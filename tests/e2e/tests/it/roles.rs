//! What happens when roles misbehave, and when their inputs change.

use std::fs;

use rebar_e2e::{House, eventually};

use crate::marks::{Role, assert_once, deploy, marks, ran};

fn apply(house: &House) -> rebar_e2e::Done {
    house.rebar(&["apply", "demo", "--yes", "--progress", "plain", "--timeout", "90s"])
}

#[test]
fn a_failure_is_explained_and_tried_again() {
    let house = House::new();
    let _agents = house.join(&["n1"]);
    let body = "if ! [ -e \"$dir/fixed\" ]; then echo 'no mirror answers' >&2; exit 3; fi";
    deploy(
        &house,
        &["n1"],
        &[Role::new("base", None, body), Role::new("top", Some("base"), ""), Role::new("aside", None, "")],
    );
    let done = apply(&house);
    assert_eq!(done.code, 8, "{}\n{}", done.out, done.err);
    let explained = house.rebar(&["explain", "demo"]).ok();
    assert!(explained.out.contains("base@n1") && explained.out.contains("no mirror answers"), "{}", explained.out);
    assert_eq!(house.rebar(&["wait", "demo", "--for", "active", "--timeout", "5s"]).code, 12);
    fs::write(house.path("marks/fixed"), "").unwrap();
    house.rebar(&["retry", "demo"]).ok();
    house.rebar(&["wait", "demo", "--for", "active", "--timeout", "60s"]).ok();
    assert_eq!(ran(&house), ["apply aside@n1", "apply base@n1", "apply base@n1", "apply top@n1"]);
}

#[test]
fn a_role_that_hangs_is_ended_with_its_children() {
    let house = House::new();
    let _agents = house.join(&["n1"]);
    let body = "(echo $$ > \"$dir/pid\"; exec tail -f /dev/null) & echo $! > \"$dir/child\"; tail -f /dev/null";
    let mut role = Role::new("hang", None, body);
    role.timeout = "1s".to_owned();
    deploy(&house, &["n1"], &[role]);
    assert_eq!(apply(&house).code, 8);
    let child = fs::read_to_string(house.path("marks/child")).unwrap();
    let process = format!("/proc/{}", child.trim());
    eventually("the child is gone", || (!std::path::Path::new(&process).exists()).then_some(()));
}

#[test]
fn outputs_that_break_their_schema_go_nowhere() {
    let house = House::new();
    let _agents = house.join(&["n1"]);
    let body = "rebar-output --json mark 7; exit 0";
    deploy(&house, &["n1"], &[Role::new("base", None, body), Role::new("top", Some("base"), "")]);
    assert_eq!(apply(&house).code, 8);
    let explained = house.rebar(&["explain", "demo"]).ok();
    assert!(explained.out.contains("output `mark`"), "{}", explained.out);
    assert_eq!(ran(&house), ["apply base@n1"]);
}

#[test]
fn only_what_changed_runs_again() {
    let house = House::new();
    let _agents = house.join(&["n1", "n2"]);
    deploy(&house, &["n1", "n2"], &[Role::new("base", None, ""), Role::new("top", Some("base"), "")]);
    apply(&house).ok();
    let first = marks(&house).len();
    apply(&house).ok();
    assert_eq!(marks(&house).len(), first, "a second apply runs nothing");
    house.rebar(&["attr", "set", "size", "2", "--node", "n2"]).ok();
    let plan = house.rebar(&["plan", "demo", "--exit-code"]);
    assert_eq!(plan.code, 3, "{}", plan.out);
    apply(&house).ok();
    let news: Vec<_> = marks(&house)[first..].iter().map(|it| it.rsplit_once(' ').unwrap().0.to_owned()).collect();
    assert_eq!(news, ["apply base@n2", "apply top@n2"]);
    let why = house.rebar(&["attr", "why", "demo/base@n2", "size"]).ok();
    assert!(why.out.contains("node/n2") || why.out.contains("node n2"), "{}", why.out);
    assert_once(&house);
}

#[test]
fn a_stale_plan_is_refused() {
    let house = House::new();
    let _agents = house.join(&["n1"]);
    deploy(&house, &["n1"], &[Role::new("base", None, "")]);
    let plan = house.rebar(&["plan", "demo", "-o", "json"]).json();
    let id = plan["id"].as_str().unwrap_or_else(|| panic!("no id in {plan}")).to_owned();
    house.rebar(&["attr", "set", "size", "3", "--deployment", "demo"]).ok();
    let done = house.rebar(&["apply", "demo", "--plan", &id, "--yes"]);
    assert_eq!(done.code, 6, "{}", done.err);
    assert!(done.err.contains("RB2005"), "{}", done.err);
}

#[test]
fn logs_say_what_the_role_said_and_no_secret() {
    let house = House::new();
    let _agents = house.join(&["n1"]);
    deploy(&house, &["n1"], &[Role::new("base", None, "echo 'hello from the role'")]);
    apply(&house).ok();
    let log = house.rebar(&["logs", "demo/base@n1"]).ok();
    assert!(log.out.contains("hello from the role"), "{}", log.out);
}

#[test]
fn destroy_undoes_in_reverse_order_and_leaves_nothing() {
    let house = House::new();
    let _agents = house.join(&["n1"]);
    deploy(&house, &["n1"], &[Role::new("base", None, ""), Role::new("top", Some("base"), "")]);
    apply(&house).ok();
    house.rebar(&["deployment", "destroy", "demo", "--yes=demo", "--timeout", "60s"]).ok();
    let order: Vec<_> = marks(&house).iter().map(|it| it.rsplit_once(' ').unwrap().0.to_owned()).collect();
    assert_eq!(order, ["apply base@n1", "apply top@n1", "undo top@n1", "undo base@n1"]);
    assert_eq!(house.rebar(&["deployment", "show", "demo"]).code, 5);
}
