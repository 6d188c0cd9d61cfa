//! Machines at the end of a bad line: slow, far, lossy, or cut while they work. Nothing that matters is lost, nothing runs twice, and
//! what a log lacks it says.

use std::{fs, path::PathBuf, time::Duration};

use rebar_e2e::{AgentProcess, Database, Done, House, Network, Weather, eventually};

use crate::marks::{Role, assert_once, put, ran, write};

const KBIT: u64 = 1_000;

/// Decides which packets are lost.
const SEED: u64 = 1;

/// An engine here, and a machine `n1` at the end of a line.
struct Edge {
    house: House,
    network: Network,
    state: PathBuf,
}

impl Edge {
    fn new(weather: Weather) -> Self {
        let network = Network::new(1, SEED);
        network.port(0).set(weather);
        let house = House::in_network(Database::Sqlite, &network);
        let state = house.path("agent-n1");
        Self { house, network, state }
    }

    /// Brings the machine in; its agent has so many MiB for logs.
    fn join(&mut self, spool_mib: u32) -> Vec<AgentProcess> {
        self.house.spool(spool_mib);
        self.house.join_over(&self.network, &["n1"])
    }

    /// A deployment of one role with this body, and with so many bytes of content that cannot be packed smaller.
    fn deploy(&self, body: &str, content: usize) {
        let dir = self.house.path("marks-workload");
        write(&dir, "1.0.0", &[Role::new("chatty", None, body), Role::new("after", Some("chatty"), "")]);
        let noise: String = (1..=content)
            .scan(7_u64, |seed, _| {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from_digit(u32::try_from(*seed >> 33).unwrap() % 36, 36)
            })
            .collect();
        put(&dir, "roles/chatty/noise.txt", &noise);
        self.house.rebar(&["workload", "import", dir.to_str().unwrap()]).ok();
        fs::create_dir_all(self.house.path("marks")).unwrap();
        let set = format!("dir={}", self.house.path("marks").display());
        let create = ["deployment", "create", "demo", "--workload", "marks@1.0.0", "--group", "all=n1", "--set", &set];
        self.house.rebar(&create).ok();
        self.house.rebar(&["apply", "demo", "--yes", "--progress", "none", "--timeout", "1s"]);
    }

    fn is_away(&self) -> Option<()> {
        let node = self.house.rebar(&["node", "show", "n1", "-o", "json"]).json();
        (node.get("node").unwrap_or(&node)["connection"]["state"] == "away").then_some(())
    }

    /// The log of the chatty role, once all of it is there.
    fn log(&self, last: &str) -> String {
        eventually("the end of the log", || {
            let log = self.house.rebar(&["logs", "demo/chatty@n1"]).ok().out;
            log.contains(last).then_some(log)
        })
    }

    fn sessions(&self) -> usize {
        self.house.log().matches("session open").count()
    }
}

/// What a chatty role says: numbered lines of a hundred bytes.
fn lines(count: usize) -> String {
    format!(
        "awk 'BEGIN {{ for (i = 1; i <= {count}; i++) printf \"line %06d %087d\\n\", i, 0 }}'; test -s noise.txt; echo 'the last line'"
    )
}

fn assert_whole(log: &str, count: usize) {
    let numbers: Vec<usize> =
        log.lines().filter_map(|it| it.strip_prefix("line ")?.split(' ').next()?.parse().ok()).collect();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "every line once and in order");
}

fn a_small_deployment_completes(weather: Weather, lines_of_log: usize, content: usize) -> Edge {
    let mut edge = Edge::new(weather);
    let agent = edge.join(256);
    edge.deploy(&lines(lines_of_log), content);
    edge.house.settle("demo");
    assert_once(&edge.house);
    assert_eq!(ran(&edge.house), ["apply after@n1", "apply chatty@n1"]);
    assert_whole(&edge.log("the last line"), lines_of_log);
    drop(agent);
    edge
}

#[test]
fn a_far_and_lossy_line_loses_nothing() {
    let weather = Weather { delay: Duration::from_millis(200), loss: 0.05, ..Weather::default() };
    a_small_deployment_completes(weather, 2_000, 300_000);
}

#[test]
fn a_slow_line_is_not_taken_for_a_dead_one() {
    let weather = Weather { delay: Duration::from_millis(20), rate: Some(64 * KBIT), ..Weather::default() };
    let edge = a_small_deployment_completes(weather, 1_000, 120_000);
    assert_eq!(edge.sessions(), 1, "the session never broke:\n{}", edge.house.log());
}

#[test]
fn work_goes_on_behind_a_cut_line_and_its_log_says_what_it_lacks() {
    let mut edge = Edge::new(Weather::default());
    let agent = edge.join(1);
    let waits = "echo 'the first line'; until [ -e \"$dir/go\" ]; do read -r _ < \"$dir/bell\" || true; done";
    fs::create_dir_all(edge.house.path("marks")).unwrap();
    let bell = edge.house.path("marks/bell");
    Done::of(std::process::Command::new("mkfifo").arg(&bell)).ok();
    edge.deploy(&format!("{waits}; {}", lines(60_000)), 1_000);
    edge.log("the first line");
    edge.network.port(0).set(Weather::SILENT);
    eventually("the engine notices that nothing comes", || edge.is_away());
    fs::write(edge.house.path("marks/go"), "").unwrap();
    fs::write(&bell, "ring\n").unwrap();
    let attempts = edge.state.join("attempts");
    eventually("the end of the work", || {
        let mut dirs = fs::read_dir(&attempts).unwrap().map(|it| it.unwrap().path());
        dirs.find(|it| it.join("result.pb").exists())
    });
    let spooled = Done::of(std::process::Command::new("du").args(["-sb", "--total"]).arg(&attempts)).ok().out;
    let spooled: u64 = spooled.split_whitespace().next().unwrap().parse().unwrap();
    assert!(spooled < 1_500_000, "{spooled} bytes of 6,000,000 are kept");
    edge.network.port(0).set(Weather::default());
    edge.house.settle("demo");
    assert_once(&edge.house);
    assert_eq!(ran(&edge.house), ["apply after@n1", "apply chatty@n1"]);
    let log = edge.log("the last line");
    assert!(log.contains("the first line") && log.contains("line 000001 "), "the beginning is there");
    assert!(log.contains("line 060000 "), "the end is there");
    let (before, after) = log.split_once(" bytes were thinned away here …\n").expect("it says what it lacks");
    let (before, lost) = before.rsplit_once("… ").expect("it says how much");
    let (there, lost): (usize, usize) = (before.len() + after.len(), lost.parse().unwrap());
    assert!(lost > 4_000_000, "{lost}");
    let all = 60_000 * 100 + "the first line\nthe last line\n".len();
    assert_eq!(lost + there, all, "{lost} lost and {there} there");
    drop(agent);
}
