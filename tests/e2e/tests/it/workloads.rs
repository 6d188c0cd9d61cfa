//! Authors' tools: every mistake at once, with file and line; and nothing with mistakes gets into the engine.

use std::fs;

use rebar_e2e::{Done, House, bin};

use crate::marks::{Role, put, write};

fn rebar(arguments: &[&str]) -> Done {
    Done::of(std::process::Command::new(bin("rebar")).args(arguments))
}

#[test]
fn a_new_workload_has_no_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("hello");
    rebar(&["workload", "init", "hello", "--dir", place.to_str().unwrap()]).ok();
    let done = rebar(&["workload", "lint", place.to_str().unwrap()]).ok();
    assert!(!done.out.contains("error") && !done.err.contains("error["), "{}{}", done.out, done.err);
}

#[test]
fn every_mistake_is_found_at_once() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "1.0.0", &[Role::new("base", None, ""), Role::new("top", Some("base"), "")]);
    let base = dir.path().join("roles/base/role.yaml");
    let text = fs::read_to_string(&base).unwrap();
    put(dir.path(), "roles/base/role.yaml", &text.replace("  scope: node", "  scope: node\n  requred: []"));
    let top = fs::read_to_string(dir.path().join("roles/top/role.yaml")).unwrap();
    put(
        dir.path(),
        "roles/top/role.yaml",
        &top.replace("output: mark", "output: makr").replace("timeout: 20s", "timeout: soon"),
    );
    let done = rebar(&["workload", "lint", dir.path().to_str().unwrap()]);
    let all = format!("{}{}", done.out, done.err);
    assert_eq!(done.code, 7, "{all}");
    for part in ["roles/base/role.yaml:8", "`requires`", "roles/top/role.yaml:", "mark", "soon"] {
        assert!(all.contains(part), "`{part}` is missing in\n{all}");
    }
}

#[test]
fn a_package_with_mistakes_is_not_imported() {
    let house = House::new();
    let dir = house.path("bad");
    write(&dir, "1.0.0", &[Role::new("base", Some("nowhere"), "")]);
    let done = house.rebar(&["workload", "import", dir.to_str().unwrap()]);
    assert_eq!(done.code, 7, "{}", done.err);
    assert!(done.err.contains("nowhere") || done.out.contains("nowhere"), "{}{}", done.out, done.err);
}

#[test]
fn a_version_names_one_content_for_ever() {
    let house = House::new();
    let dir = house.path("once");
    write(&dir, "1.0.0", &[Role::new("base", None, "")]);
    let path = dir.to_str().unwrap().to_owned();
    house.rebar(&["workload", "import", &path]).ok();
    house.rebar(&["workload", "import", &path]).ok();
    write(&dir, "1.0.0", &[Role::new("base", None, "echo changed")]);
    let done = house.rebar(&["workload", "import", &path]);
    assert!(done.code != 0 && done.err.contains("RB2002"), "{}", done.err);
    write(&dir, "1.0.1", &[Role::new("base", None, "echo changed")]);
    house.rebar(&["workload", "import", &path]).ok();
}
