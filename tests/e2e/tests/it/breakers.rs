//! Breakers by the command line: one opens in the middle, survives its engine, lets one try, and closes.

use rebar_e2e::{House, eventually};

use crate::marks::{Role, put, ran, write};

const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];

/// A role that works where a file lets it, one node after the other.
fn picky() -> Role {
    let mut role = Role::new("picky", None, "[ -e \"$dir/good\" ] || [ \"$node\" = n1 ]");
    role.extra = "      retries: {max: 0}\n".into();
    role
}

/// The workload with a breaker, and the role one at a time.
fn deploy(house: &House) {
    let dir = house.path("marks-workload");
    write(&dir, "1.0.0", &[picky()]);
    let change = |file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(dir.join(file)).unwrap();
        assert!(text.contains(from), "{text}");
        put(&dir, file, &text.replacen(from, to, 1));
    };
    change("workload.yaml", "  groups:\n", "  rollout: {breaker: {consecutive: 2}}\n  groups:\n");
    change("roles/picky/role.yaml", "  scope: node\n", "  scope: node\n  concurrency: {perDeployment: 1}\n");
    house.rebar(&["workload", "import", dir.to_str().unwrap()]).ok();
    std::fs::create_dir_all(house.path("marks")).unwrap();
    let (group, set) = (format!("all={}", NODES.join(",")), format!("dir={}", house.path("marks").display()));
    house.rebar(&["deployment", "create", "demo", "--workload", "marks", "--group", &group, "--set", &set]).ok();
}

fn state(house: &House) -> String {
    let breaker = house.rebar(&["breaker", "show", "demo", "-o", "json"]).json();
    breaker["state"].as_str().unwrap().to_owned()
}

#[test]
fn what_broke_the_first_does_not_reach_the_others() {
    let mut house = House::new();
    let _agents = house.join(&NODES);
    deploy(&house);
    let applied = house.rebar(&["apply", "demo", "--yes", "--progress", "none"]);
    assert_eq!(applied.code, 8, "{applied:?}");
    assert_eq!(state(&house), "open");
    assert_eq!(ran(&house), ["apply picky@n1", "apply picky@n2", "apply picky@n3"], "the fourth was not touched");
    let explained = house.rebar(&["explain", "demo"]).out;
    assert!(explained.contains("2 attempts failed in a row"), "{explained}");

    // Neither a retry nor another engine talks it past.
    house.kill_engine();
    house.start_engine();
    house.rebar(&["retry", "demo", "--failed", "--no-follow"]);
    let waited = house.rebar(&["wait", "demo", "--for", "active", "--timeout", "30s"]);
    assert_eq!(waited.code, 12, "{waited:?}");
    assert_eq!((state(&house).as_str(), ran(&house).len()), ("open", 3));

    // What is tried fails as well; then the cause is mended.
    let settled = |expected: &str| eventually(expected, || (state(&house) == expected).then_some(()));
    house.rebar(&["breaker", "reset", "demo", "--probe"]).ok();
    settled("open");
    assert_eq!(ran(&house).len(), 4);
    std::fs::write(house.path("marks/good"), "").unwrap();
    house.rebar(&["retry", "demo", "--failed", "--no-follow"]);
    house.rebar(&["breaker", "reset", "demo", "--probe"]).ok();
    settled("closed");
    house.settle("demo");
    assert_eq!(house.rebar(&["breaker", "trip", "demo", "--reason", "enough"]).code, 0);
    assert!(house.rebar(&["status", "demo"]).out.contains("breaker open: a person opened it: enough"));
    assert!(house.rebar(&["breaker", "ls"]).ok().out.contains("open"));
}
