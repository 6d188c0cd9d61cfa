//! Databases that fail in the middle: a full disk, a file that may not be written or is locked, a server that is killed or frozen. The
//! engine says what is wrong, answers who only looks, forgets nothing, and goes on when the database can be used again.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rebar_conformance::{postgres::Server, small_disk::SmallDisk};
use rebar_e2e::{AgentProcess, Database, Done, House, eventually, eventually_within};

use crate::{
    marks::{deploy, marks},
    witness::{assert_whole, role},
};

const NODES: [&str; 2] = ["n1", "n2"];
const LINKS: usize = 6;
/// Longer than a writer waits for a file that another process has locked.
const LOCKED_FOR: Duration = Duration::from_secs(12);

fn name(link: usize) -> String {
    format!("link-{link}")
}

/// A deployment in its middle.
fn in_the_middle(house: &House) -> Vec<AgentProcess> {
    let agents = house.join(&NODES);
    let chain: Vec<_> = (0..LINKS).map(|link| role(&name(link), link.checked_sub(1).map(name).as_deref())).collect();
    deploy(house, &NODES, &chain);
    house.rebar(&["apply", "demo", "--yes", "--progress", "none", "--timeout", "1s"]);
    eventually("some marks", || (marks(house).len() >= 3).then_some(()));
    agents
}

/// The engine says what is wrong to who wants a change, and in its log; who only looks is answered.
fn says(house: &House, what: &str) {
    eventually("the engine says what is wrong", || {
        let refused = house.rebar(&["node", "label", "n1", "touched=yes"]);
        let passing = refused.err.contains("RB4012") || refused.err.contains("RB4013");
        (refused.code == 11 && passing && refused.err.contains(what)).then_some(())
    });
    assert!(house.log().contains(what), "the log says it: {}", house.log());
    house.rebar(&["node", "ls"]).ok();
    house.rebar(&["deployment", "status", "demo"]).ok();
}

/// It goes on by itself, to the end that it would have had, and does what it is asked.
fn goes_on(house: &House) {
    house.settle("demo");
    let node_roles: Vec<_> = (0..LINKS).flat_map(|link| NODES.map(|node| format!("{}@{node}", name(link)))).collect();
    assert_whole(house, house, &node_roles, 1);
    house.rebar(&["node", "label", "n1", "touched=later"]).ok();
}

#[test]
fn a_full_disk_under_sqlite_is_said_and_outlived() {
    let disk = SmallDisk::new(32).unwrap();
    let mut house = House::with_data(disk.path().join("data"));
    let _agents = in_the_middle(&house);
    disk.fill().unwrap();
    says(&house, "disk is full");
    house.kill_engine();
    let said = house.start_in_vain();
    assert!(said.contains("disk is full"), "it says why it does not start: {said}");
    disk.free().unwrap();
    house.start_engine();
    goes_on(&house);
}

#[test]
fn a_disk_that_is_full_for_a_while_is_outlived_without_a_restart() {
    let disk = SmallDisk::new(32).unwrap();
    let house = House::with_data(disk.path().join("data"));
    let _agents = in_the_middle(&house);
    for _ in 0..2 {
        disk.fill().unwrap();
        says(&house, "disk is full");
        disk.free().unwrap();
        eventually("it leads again", || (house.rebar(&["node", "label", "n1", "touched=yes"]).code == 0).then_some(()));
    }
    goes_on(&house);
    let failed = house.log().matches("commit failed").count();
    assert!(failed < 30, "it does not try in a circle: {failed} commits failed");
}

#[test]
fn a_full_disk_under_postgresql_is_said_and_outlived() {
    let disk = SmallDisk::new(128).unwrap();
    let house = House::on(Database::Postgres(Server::start_in(disk.path()).unwrap()));
    let _agents = in_the_middle(&house);
    disk.fill().unwrap();
    says(&house, "No space left on device");
    disk.free().unwrap();
    if house.server().has_ended() {
        house.server().restart().unwrap();
    }
    goes_on(&house);
}

/// Files that may not be written, whoever wants to, for as long as this value lives.
struct Immutable(Vec<PathBuf>);

impl Immutable {
    fn new(files: Vec<PathBuf>) -> Self {
        let it = Self(files);
        it.set("+i").ok();
        it
    }

    fn set(&self, how: &str) -> Done {
        Done::of(Command::new("chattr").arg(how).args(&self.0))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let done = self.set("-i");
        assert!(done.code == 0 || std::thread::panicking(), "{done:?}");
    }
}

#[test]
fn a_database_that_may_not_be_written_is_said_and_outlived() {
    let mut house = House::new();
    let _agents = in_the_middle(&house);
    let files = ["rebar.db", "rebar.db-wal"].map(|it| house.data().join(it));
    let immutable = Immutable::new(files.to_vec());
    says(&house, "readonly database");
    house.kill_engine();
    let said = house.start_in_vain();
    assert!(said.contains("rebar.db") && said.contains("not permitted"), "it says why it does not start: {said}");
    drop(immutable);
    house.start_engine();
    goes_on(&house);
}

/// Somebody with the file open, in the middle of a transaction.
struct Shell(Child);

impl Shell {
    fn lock(file: &Path) -> Self {
        let shell = Command::new("sqlite3").arg(file).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut shell = shell.unwrap_or_else(|error| panic!("Debian's sqlite3 is needed: {error}"));
        shell.stdin.as_mut().unwrap().write_all(b".timeout 5000\nBEGIN EXCLUSIVE;\nSELECT 'locked';\n").unwrap();
        let mut said = [0; 7];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut said).unwrap();
        assert_eq!(&said, b"locked\n");
        Self(shell)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // It may have ended by itself; the wait says so.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_database_that_another_process_locks_is_said_and_outlived() {
    let house = House::new();
    let _agents = in_the_middle(&house);
    let since = std::time::Instant::now();
    let shell = Shell::lock(&house.data().join("rebar.db"));
    says(&house, "database");
    eventually_within(LOCKED_FOR * 2, "it has been locked for long", || {
        let refused = house.rebar(&["node", "label", "n1", "touched=yes"]);
        assert!(refused.err.contains("RB4013") || refused.err.contains("RB4012"), "{refused:?}");
        (since.elapsed() > LOCKED_FOR).then_some(())
    });
    drop(shell);
    goes_on(&house);
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_commits_is_outlived() {
    let house = House::on(Database::Postgres(Server::start().unwrap()));
    let _agents = in_the_middle(&house);
    house.server().crash().unwrap();
    eventually("more marks", || (marks(&house).len() >= 8).then_some(()));
    house.server().kill().unwrap();
    says(&house, "database");
    house.server().restart().unwrap();
    goes_on(&house);
}

#[test]
fn a_server_that_does_not_answer_is_said_and_outlived() {
    let house = House::on(Database::Postgres(Server::start().unwrap()));
    let _agents = in_the_middle(&house);
    house.server().freeze().unwrap();
    says(&house, "does not answer");
    house.server().thaw().unwrap();
    goes_on(&house);
}
