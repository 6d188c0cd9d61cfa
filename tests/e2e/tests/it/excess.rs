//! Roles and machines that use too much: a log of a hundred megabytes, a disk that a role fills, an agent whose own disk is full.

use std::time::Duration;

use rebar_conformance::small_disk::SmallDisk;
use rebar_e2e::{House, eventually, eventually_within};

use crate::marks::{Role, assert_once, deploy, ran};

const FLOOD: &str = "echo 'the first words'; yes 'a line of a flood' | head -c 104857600; echo 'the last words'";

/// A role that takes what there is in its own directory, which lies on the agent's disk.
const GLUTTON: &str = "[ -e \"$dir/sated\" ] || cat /dev/zero > everything";

#[test]
fn a_flood_of_a_hundred_megabytes_is_taken_in_and_holds_nothing_up() {
    let house = House::new();
    let _agents = house.join(&["n1", "n2"]);
    let mut flood = Role::new("flood", None, FLOOD);
    flood.timeout = "180s".to_owned();
    deploy(&house, &["n1", "n2"], &[flood, Role::new("after", Some("flood"), ""), Role::new("aside", None, "")]);
    house.rebar(&["apply", "demo", "--yes", "--progress", "none", "--timeout", "1s"]);
    eventually("those beside it are done", || {
        let standings = house.standings("demo");
        let active = |id: &str| standings.iter().any(|(it, standing)| it == id && standing == "active");
        (active("aside@n1") && active("aside@n2")).then_some(())
    });
    house.rebar(&["wait", "demo", "--for", "active", "--timeout", "4m"]).ok();
    assert_once(&house);
    let log = eventually_within(Duration::from_mins(3), "the end of the log is there", || {
        let log = house.rebar(&["logs", "demo/flood@n1"]).ok().out;
        log.contains("the last words").then_some(log)
    });
    assert!(log.contains("the first words"), "its beginning is kept");
}

#[test]
fn a_role_that_fills_the_disk_fails_and_leaves_room() {
    let disk = SmallDisk::new(24).unwrap();
    let house = House::new();
    let _agent = house.join_with("n1", &disk.path().join("state"));
    deploy(&house, &["n1"], &[Role::new("glutton", None, GLUTTON), Role::new("after", Some("glutton"), "")]);
    let done = house.rebar(&["apply", "demo", "--yes", "--progress", "none", "--timeout", "60s"]);
    assert_eq!(done.code, 8, "{done:?}");
    let explained = house.rebar(&["explain", "demo"]).ok();
    assert!(explained.out.contains("No space left on device"), "it says why: {}", explained.out);
    std::fs::write(house.path("marks/sated"), "").unwrap();
    house.rebar(&["retry", "demo"]).ok();
    house.settle("demo");
    assert_once(&house);
    assert_eq!(ran(&house), ["apply after@n1", "apply glutton@n1", "apply glutton@n1"]);
}

#[test]
fn an_agent_whose_disk_is_full_says_so_and_goes_on_when_there_is_space() {
    let disk = SmallDisk::new(24).unwrap();
    let house = House::new();
    let _agents = house.join(&["n2"]);
    let _agent = house.join_with("n1", &disk.path().join("state"));
    deploy(&house, &["n1", "n2"], &[Role::new("base", None, ""), Role::new("top", Some("base"), "")]);
    disk.fill().unwrap();
    house.rebar(&["apply", "demo", "--yes", "--progress", "none", "--timeout", "1s"]);
    eventually("it says so, and that it will be tried again", || {
        let events = house.rebar(&["events", "--since", "0", "-o", "ndjson"]).out;
        let says = |it: &str| {
            it.contains("base@n1#1 failed: asked to be tried again") && it.contains("No space left on device")
        };
        events.lines().any(says).then_some(())
    });
    eventually("the other machine is done", || {
        let active = |it: &(String, String)| *it == ("top@n2".to_owned(), "active".to_owned());
        house.standings("demo").iter().any(active).then_some(())
    });
    disk.free().unwrap();
    house.settle("demo");
    assert_eq!(ran(&house), ["apply base@n1", "apply base@n2", "apply top@n1", "apply top@n2"]);
}
