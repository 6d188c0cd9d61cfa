//! Revisions by the command line: what was wished for, what differs, towards what a plan is made, and going back; and what a role's
//! undo is told when everything goes.

use rebar_e2e::House;

use crate::marks::{Role, deploy, marks};

/// A role that says how large it was told to be, and when it goes, whether everything does.
fn sized() -> Role {
    let body = "echo \"size $(rebar-input size)\" >> \"$dir/sizes\"";
    Role { undo: "echo \"wipe ${REBAR_WIPE-0}\" >> \"$dir/sizes\"".into(), ..Role::new("sized", None, body) }
}

fn sizes(house: &House) -> Vec<String> {
    let text = std::fs::read_to_string(house.path("marks/sizes")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_deployment_goes_back_to_an_earlier_revision() {
    let house = House::new();
    let _agents = house.join(&["n1", "n2"]);
    deploy(&house, &["n1"], &[sized()]);
    let apply = |words: &[&str]| house.rebar(&[&["apply", "demo", "--yes", "--progress", "none"], words].concat()).ok();
    apply(&[]);
    // A plan towards something changes nothing, and says how to apply it.
    let plan = house.rebar(&["plan", "demo", "--set", "size=7"]).ok();
    assert!(plan.out.contains("rebar apply demo --set size=7 --plan "), "{}", plan.out);
    assert!(house.rebar(&["plan", "demo"]).ok().out.contains("nothing changes"));
    apply(&["--set", "size=7"]);
    house.rebar(&["deployment", "add-node", "demo", "n2", "--group", "all"]).ok();
    apply(&[]);
    assert_eq!(sizes(&house), ["size 1", "size 7", "size 7"]);

    let history = house.rebar(&["deployment", "history", "demo", "-o", "json"]).json();
    let numbers: Vec<_> = history.as_array().unwrap().iter().map(|it| it["no"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    let diff = |words: &[&str]| house.rebar(&[&["deployment", "diff", "demo"], words].concat()).ok().out;
    assert!(diff(&[]).contains("+ n2"), "{}", diff(&[]));
    assert!(diff(&["2"]).contains("not set → 7"), "{}", diff(&["2"]));
    assert!(diff(&["1", "3"]).contains("+ n2") && diff(&["1", "3"]).contains("not set → 7"));

    house.rebar(&["deployment", "rollback", "demo", "--to", "1", "--yes", "--progress", "none"]).ok();
    // The node that went is told that it goes alone.
    let mut last = sizes(&house).split_off(3);
    last.sort();
    assert_eq!(last, ["size 1", "wipe 0"]);
    assert!(diff(&["1", "4"]).contains("the same is wished for"), "{}", diff(&["1", "4"]));
    let again = house.rebar(&["deployment", "rollback", "demo", "--to", "1", "--yes"]).ok();
    assert!(again.err.contains("nothing changes") || again.out.contains("nothing changes"), "{again:?}");
    let nowhere = house.rebar(&["deployment", "rollback", "demo", "--to", "9", "--yes"]);
    assert!(nowhere.code == 5 && nowhere.err.contains("revision"), "{nowhere:?}");

    house.rebar(&["deployment", "destroy", "demo", "--yes=demo", "--progress", "none"]).ok();
    assert_eq!(sizes(&house).last().map(String::as_str), Some("wipe 1"), "{:?}", marks(&house));
}
