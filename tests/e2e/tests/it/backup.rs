//! A backup is taken while a deployment runs, the engine goes on for a while and is lost, the backup is restored into a database of the
//! other kind. Agents come back by themselves, the deployment goes on to its end, and no attempt runs twice.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rebar_conformance::postgres::Server;
use rebar_e2e::{Database, Done, House, eventually};
use rustix::io::ioctl_fionread;
use serde_json::Value;

use crate::marks::{Role, assert_once, deploy, marks, ran};

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const LINKS: usize = 8;

/// Runs until a file is there, and looks for it when somebody rings.
const GATE: &str = "until [ -e \"$dir/go-$node\" ]; do read -r _ < \"$dir/bell-$node\" || true; done";

/// A chain of roles, and one beside it that waits at a gate.
fn roles() -> Vec<Role> {
    let name = |place: usize| format!("link-{place}");
    let mut roles: Vec<_> =
        (0..LINKS).map(|place| Role::new(&name(place), place.checked_sub(1).map(name).as_deref(), "")).collect();
    roles.push(Role::new("gated", None, GATE));
    roles
}

fn run_of(house: &House, what: &str) -> usize {
    ran(house).iter().filter(|it| *it == what).count()
}

/// A deployment in its middle: some links are done, and every node stands at its gate.
fn in_the_middle(house: &House) {
    fs::create_dir_all(house.path("marks")).unwrap();
    for node in NODES {
        Done::of(Command::new("mkfifo").arg(house.path(&format!("marks/bell-{node}")))).ok();
    }
    deploy(house, &NODES, &roles());
    house.rebar(&["apply", "demo", "--yes", "--progress", "none", "--timeout", "1s"]);
    eventually("every node stands at its gate", || {
        NODES.iter().all(|node| run_of(house, &format!("apply gated@{node}")) == 1).then_some(())
    });
    eventually("some links are done", || (marks(house).len() >= NODES.len() + 4).then_some(()));
}

fn open_gate(house: &House, node: &str) {
    fs::write(house.path(&format!("marks/go-{node}")), "").unwrap();
}

fn backup(house: &House, file: &Path, database: &str) -> Value {
    house
        .rebar(&["backup", text(file), "--database", database, "--data", text(&house.path("data")), "-o", "json"])
        .json()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The machine of the engine is lost: a new directory has nothing but the key, which was kept apart.
fn new_directory(house: &House) -> PathBuf {
    let (data, lost) = (house.path("data"), house.path("lost"));
    fs::rename(&data, &lost).unwrap();
    fs::create_dir(&data).unwrap();
    data
}

fn restored_and_gone_on(mut house: House, from: &str, to: &str) {
    let _agents = house.join(&NODES);
    in_the_middle(&house);
    let (file, again) = (house.path("rebar.backup"), house.path("again.backup"));
    let taken = backup(&house, &file, from);
    let refused = house.rebar(&["backup", text(&file), "--database", from, "--data", text(&house.path("data"))]);
    assert!(refused.code == 6 && refused.err.contains("RB4108"), "it is not written over: {refused:?}");

    // Afterwards: work that is in the backup ends, and is forgotten by its agent; other work begins.
    open_gate(&house, "n1");
    fs::write(house.path("marks/bell-n1"), "ring\n").unwrap();
    eventually("the gate of n1 is passed", || {
        let standings = house.standings("demo");
        standings.iter().any(|(id, standing)| id.contains("gated@n1") && standing == "active").then_some(())
    });
    let before = marks(&house).len();
    eventually("the chain goes on", || (marks(&house).len() >= before + 2 || chain_is_done(&house)).then_some(()));
    house.kill_engine();
    let later = backup(&house, &again, from);
    assert!(later["applied"].as_u64() > taken["applied"].as_u64(), "a dead engine is backed up too: {later}");

    let data = new_directory(&house);
    let restore = ["restore", text(&file), "--database", to, "--data", text(&data), "-o", "json"];
    let refused = house.rebar(&restore);
    assert!(refused.code == 5 && refused.err.contains("RB4105"), "without the key: {refused:?}");
    fs::copy(house.path("lost/seal.key"), data.join("seal.key")).unwrap();
    killed_in_the_middle(&house, &file, &restore);
    let restored = house.rebar(&restore).json();
    assert_eq!(restored["applied"], taken["applied"]);
    assert!(restored["attempts_given_up"].as_u64() >= Some(3), "those at the gates at least: {restored}");
    let refused = house.rebar(&restore);
    assert!(refused.code == 6 && refused.err.contains("RB4106"), "twice: {refused:?}");

    for node in NODES {
        open_gate(&house, node);
    }
    house.remember_in(to);
    house.start_engine();
    for node in NODES {
        house.here(node);
    }
    let refused = house.rebar(&["restore", text(&file), "--database", to, "--data", text(&data)]);
    assert!(refused.code == 6 && refused.err.contains("RB4107"), "beside an engine: {refused:?}");
    house.rebar(&["wait", "demo", "--for", "active", "--timeout", "60s"]).ok();
    assert_whole(&house, &restored);
}

/// A restore that has had half of the file is killed; what it did is as if it had never been.
fn killed_in_the_middle(house: &House, file: &Path, restore: &[&str]) {
    let whole = fs::read(file).unwrap();
    let from_stdin: Vec<_> = restore.iter().map(|it| if *it == text(file) { "-" } else { it }).collect();
    let mut restoring = house.command().args(from_stdin).stdin(Stdio::piped()).spawn().unwrap();
    let pipe = restoring.stdin.as_mut().unwrap();
    pipe.write_all(&whole[..whole.len() / 2]).unwrap();
    eventually("all that it was given is read", || (ioctl_fionread(&*pipe) == Ok(0)).then_some(()));
    restoring.kill().unwrap();
    restoring.wait().unwrap();
}

fn chain_is_done(house: &House) -> bool {
    let last = format!("apply link-{}@", LINKS - 1);
    ran(house).iter().filter(|it| it.starts_with(&last)).count() == NODES.len()
}

/// Everything ran; what the backup did not know to have ended ran again, under a number that no attempt had before.
fn assert_whole(house: &House, restored: &Value) {
    assert_once(house);
    let roles = (0..LINKS).map(|link| format!("link-{link}")).chain(["gated".to_owned()]);
    let expected: BTreeSet<_> = roles.flat_map(|role| NODES.map(|node| format!("apply {role}@{node}"))).collect();
    assert_eq!(ran(house).into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(run_of(house, "apply gated@n1"), 2, "it had ended after the backup, and ran again");
    let attempts: Vec<u64> = marks(house).iter().map(|it| it.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
    let epoch = restored["epoch"].as_u64().unwrap();
    let (new, old): (Vec<_>, Vec<_>) = attempts.into_iter().partition(|it| *it > epoch);
    assert!(new.len() >= NODES.len(), "the gates ran again: {new:?}");
    assert!(old.iter().max() < new.iter().min(), "{old:?} {new:?}");
    let events = house.rebar(&["events", "--since", "0", "-o", "ndjson"]).ok().out;
    assert!(events.contains(r#""restore""#), "history says that it was restored");
}

#[test]
fn what_sqlite_remembered_goes_on_in_postgresql() {
    let server = Server::start().unwrap();
    let house = House::new();
    let from = house.path("data/rebar.db");
    let (from, lost) = (text(&from).to_owned(), server.database("restored").unwrap());
    restored_and_gone_on(house, &from, &lost);
}

#[test]
fn what_postgresql_remembered_goes_on_in_sqlite() {
    let server = Server::start().unwrap();
    let from = server.database("house").unwrap();
    let house = House::on(Database::Postgres(server));
    let to = text(&house.path("data/rebar.db")).to_owned();
    restored_and_gone_on(house, &from, &to);
}
