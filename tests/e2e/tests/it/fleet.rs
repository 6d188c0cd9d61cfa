//! Light nodes with the real binaries: what an operator meets who may not make them, nodes that outlive their engine, and a fleet of
//! them with a real Docker Swarm, as `make fleet` builds it, only smaller.

use std::{fs, path::Path, process::Command};

use rebar_e2e::{Done, House, bin, eventually, root};
use serde_json::Value;

/// Names of everything that a network of light nodes has on this machine.
fn remains(network: &str) -> Vec<String> {
    let looks: [(&str, &[&str]); 3] =
        [("ip", &["netns", "list"]), ("ip", &["-o", "link"]), ("iptables-save", &["-t", "nat"])];
    let mut found = Vec::new();
    for (program, arguments) in looks {
        let said = Done::of(Command::new(program).args(arguments)).ok().out;
        found.extend(said.lines().filter(|it| it.contains(network)).map(str::to_owned));
    }
    let folders = ["/run/rebar-nodes", "/var/lib/rebar-nodes", "/sys/fs/cgroup/pids/rebar", "/sys/fs/cgroup/rebar"];
    found.extend(folders.map(|it| format!("{it}/{network}")).into_iter().filter(|it| Path::new(it).exists()));
    found
}

#[test]
fn an_engine_without_rights_says_which_it_lacks() {
    let setpriv = ["setpriv", "--bounding-set", "-sys_admin,-net_admin"];
    let house = House::with_light_nodes("rb-e2e-bare", "172.26.1.0/24", &setpriv);
    let done = house.rebar(&["node", "add", "n1", "--provider", "namespace"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.err.contains("error[RB4014]") && done.err.contains("it lacks CAP_SYS_ADMIN, CAP_NET_ADMIN"),
        "{done:?}"
    );
    let page = house.rebar(&["help", "RB4014"]).ok().out;
    assert!(page.contains("CAP_SYS_ADMIN"), "{page}");
    assert_eq!(house.rebar(&["node", "ls", "-o", "name"]).ok().out.trim(), "", "no half of a node stays");

    let wrong = house.rebar(&["node", "add", "n1", "--provider", "namespace", "--option", "memory-mb=64"]);
    assert!(wrong.err.contains("RB4015") && wrong.err.contains("memory-mb"), "{wrong:?}");
    assert_eq!(remains("rb-e2e-bare"), [""; 0]);
}

#[test]
fn light_nodes_outlive_their_engine() {
    let mut house = House::with_light_nodes("rb-e2e-light", "172.26.2.0/24", &[]);
    house.rebar(&["node", "add", "n1", "n2", "--provider", "namespace", "--wait", "--timeout", "1m"]).ok();
    house.here("n1");
    let node = house.rebar(&["node", "show", "n1", "-o", "json"]).json();
    let facts = &node["node"]["facts"];
    assert_eq!((&facts["virtualization"], &facts["init"]), (&"rebar-namespace".into(), &"runsvdir".into()), "{facts}");
    assert_eq!(facts["hostname"], "n1");
    let own: Vec<&str> = facts["nics"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(own, ["eth0"], "it sees its own interfaces alone");
    let pid = |house: &House| fs::read_to_string(house.path("nodes/rb-e2e-light/nodes/n1/pid")).unwrap();
    let before = pid(&house);

    house.kill_engine();
    house.start_engine();
    house.here("n1");
    house.here("n2");
    assert_eq!(pid(&house), before, "it went on while there was no engine");

    // Killed behind the engine's back it is missed, and can be replaced under its name.
    Done::of(Command::new("kill").args(["-9", before.trim()])).ok();
    eventually("n1 is missed", || {
        let node = house.rebar(&["node", "show", "n1", "-o", "json"]).json();
        (node["standing"] == "away").then_some(())
    });
    house.rebar(&["node", "rm", "n1", "--gone", "--yes", "n1"]).ok();
    house.rebar(&["node", "add", "n1", "--provider", "namespace", "--wait", "--timeout", "1m"]).ok();
    assert_ne!(pid(&house), before);

    house.rebar(&["node", "rm", "n1", "n2"]).ok();
    assert_eq!(remains("rb-e2e-light"), [""; 0], "nothing is left");
    assert!(!house.path("nodes").exists());
}

#[test]
fn a_fleet_is_built_grown_hurt_replaced_and_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("fleet.json");
    let programs = bin("rebar").parent().unwrap().to_owned();
    let mut run = Command::new(root().join("tests/fleet/run"));
    run.args(["--nodes", "10", "--managers", "3", "--add", "2", "--lose", "2", "--peer", "0"])
        .args(["--network", "rb-e2e-fleet", "--subnet", "172.25.0.0/16", "--port", "18592"])
        .arg("--programs")
        .arg(programs)
        .arg("--dir")
        .arg(folder.path().join("fleet"))
        .arg("--out")
        .arg(&out);
    Done::of(&mut run).ok();
    let seen: Value = serde_json::from_str(&fs::read_to_string(out).unwrap()).unwrap();
    assert_eq!((&seen["nodes"], &seen["ready"]), (&10.into(), &10.into()), "{seen}");
    assert_eq!((&seen["added"], &seen["lost_replaced"]), (&2.into(), &2.into()), "{seen}");
    assert_eq!((&seen["rebuilt_ok"], &seen["second_apply_changed"]), (&true.into(), &0.into()), "{seen}");
    assert_eq!(seen["left_behind"], serde_json::json!([]), "{seen}");
    assert_eq!(remains("rb-e2e-fleet"), [""; 0]);
}
