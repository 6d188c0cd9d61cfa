//! A workload that leaves marks: each attempt of each role writes a line, so that a test sees what ran, how often and in which order,
//! without asking the engine.

use std::{collections::BTreeMap, fs, path::Path};

use rebar_e2e::House;

/// A role of the workload: its name, the role that it takes an input from, the bodies of its scripts, how long the first may take, what
/// it says as its output, and further keys of its phase.
pub struct Role {
    pub name: String,
    pub after: Option<String>,
    pub body: String,
    pub undo: String,
    pub timeout: String,
    pub mark: String,
    pub extra: String,
}

impl Role {
    pub fn new(name: &str, after: Option<&str>, body: &str) -> Self {
        let (after, mark) = (after.map(Into::into), name.into());
        let (undo, extra) = (String::new(), String::new());
        Self { name: name.into(), after, body: body.into(), undo, timeout: "20s".into(), mark, extra }
    }
}

/// Writes the workload `marks` into a directory.
pub fn write(dir: &Path, version: &str, roles: &[Role]) {
    let list: Vec<_> = roles.iter().map(|it| it.name.as_str()).collect();
    let manifest = format!(
        "apiVersion: rebar.dev/v1\nkind: Workload\nmetadata:\n  name: marks\n  version: {version}\n  summary: Leaves marks\n  \
         license: Apache-2.0\nspec:\n  inputs:\n    dir:\n      schema: {{type: string}}\n    size:\n      schema: {{type: integer}}\n      \
         default: 1\n  groups:\n    all:\n      summary: All nodes\n      roles: [{}]\n",
        list.join(", ")
    );
    put(dir, "workload.yaml", &manifest);
    for role in roles {
        write_role(dir, role);
    }
}

fn write_role(dir: &Path, role: &Role) {
    let from = role.after.as_ref().map_or(String::new(), |it| {
        format!("    before:\n      schema: {{type: string}}\n      from: {{role: {it}, output: mark}}\n")
    });
    let manifest = format!(
        "apiVersion: rebar.dev/v1\nkind: Role\nmetadata:\n  name: {name}\n  summary: Leaves a mark\nspec:\n  scope: node\n  runner:\n    \
         type: script\n  inputs:\n    dir:\n      schema: {{type: string}}\n      from: {{deployment: dir}}\n    size:\n      schema: \
         {{type: integer}}\n      from: {{deployment: size}}\n    node:\n      schema: {{type: string}}\n      from: {{node: name}}\n{from}  \
         outputs:\n    mark:\n      schema: {{type: string}}\n  phases:\n    apply:\n      run: apply.sh\n      timeout: {timeout}\n{extra}    undo:\n      \
         run: undo.sh\n      timeout: 20s\n",
        name = role.name,
        timeout = role.timeout,
        extra = role.extra,
    );
    let head = "#!/bin/sh\nset -eu\ndir=$(rebar-input dir)\nnode=$(rebar-input node)\n";
    let mark = |word: &str| format!("{head}echo \"{word} {}@$node $REBAR_ATTEMPT\" >> \"$dir/marks\"\n", role.name);
    put(dir, &format!("roles/{}/role.yaml", role.name), &manifest);
    let apply = format!("{}{}\nrebar-output mark {}\n", mark("apply"), role.body, role.mark);
    put(dir, &format!("roles/{}/apply.sh", role.name), &apply);
    put(dir, &format!("roles/{}/undo.sh", role.name), &format!("{}{}\n", mark("undo"), role.undo));
}

pub fn put(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Imports the workload and makes a deployment `demo` of it on nodes.
pub fn deploy(house: &House, nodes: &[&str], roles: &[Role]) {
    let dir = house.path("marks-workload");
    write(&dir, "1.0.0", roles);
    house.rebar(&["workload", "import", dir.to_str().unwrap()]).ok();
    fs::create_dir_all(house.path("marks")).unwrap();
    let group = format!("all={}", nodes.join(","));
    let set = format!("dir={}", house.path("marks").display());
    house.rebar(&["deployment", "create", "demo", "--workload", "marks@1.0.0", "--group", &group, "--set", &set]).ok();
}

/// The lines that were written, in order.
pub fn marks(house: &House) -> Vec<String> {
    let text = fs::read_to_string(house.path("marks/marks")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// What ran, without the numbers of the attempts.
pub fn ran(house: &House) -> Vec<String> {
    let mut ran: Vec<_> = marks(house).iter().map(|it| it.rsplit_once(' ').unwrap().0.to_owned()).collect();
    ran.sort();
    ran
}

/// Asserts that no attempt left its mark twice.
#[track_caller]
pub fn assert_once(house: &House) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for mark in marks(house) {
        *seen.entry(mark).or_default() += 1;
    }
    seen.retain(|_, count| *count > 1);
    assert!(seen.is_empty(), "attempts that ran twice: {seen:?}");
}
