//! Machines that go: a node that vanishes for good says so, the rest goes on, and it can be given up.

use rebar_e2e::{House, eventually};

use crate::marks::{Role, deploy, ran};

#[test]
fn a_node_that_vanishes_says_so_and_the_rest_goes_on() {
    let house = House::new();
    let mut agents = house.join(&["n1", "n2"]);
    deploy(&house, &["n1", "n2"], &[Role::new("base", None, ""), Role::new("top", Some("base"), "")]);
    agents[1].kill();
    eventually("the engine notices", || {
        let node = house.rebar(&["node", "show", "n2", "-o", "json"]).json();
        (node.get("node").unwrap_or(&node)["connection"]["state"] == "away").then_some(())
    });
    house.rebar(&["apply", "demo", "--yes", "--progress", "none", "--timeout", "3s"]);
    eventually("n1 is done", || {
        let all = house.standings("demo");
        all.contains(&("top@n1".to_owned(), "active".to_owned())).then_some(())
    });
    let explained = house.rebar(&["explain", "demo"]).ok();
    assert!(explained.out.contains("n2"), "{}", explained.out);
    let standings = house.standings("demo");
    assert!(standings.contains(&("base@n2".to_owned(), "blocked".to_owned())), "{standings:?}");
    house.rebar(&["node", "rm", "n2", "--gone", "--yes=n2"]).ok();
    house.rebar(&["apply", "demo", "--yes", "--progress", "none", "--timeout", "60s"]).ok();
    house.rebar(&["wait", "demo", "--for", "active", "--timeout", "60s"]).ok();
    assert_eq!(ran(&house), ["apply base@n1", "apply top@n1"]);
}
