//! The upgrade of the agents: who is told when, what it takes for the next ones to follow, and what holds them.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rebar_model::{
    AgentBuild, Change, Digest, Epoch, Facts, Hex, NodeMode, NodeName, ReleasePlatform, SignedRelease, Span, StepState,
    UpgradeFailure, UpgradeNo, UpgradeReport, UpgradeState,
};
use rebar_scheduler::{Command, Input, NodeRemoval, Refusal, UpgradeWish};
use semver::Version;
use serde_json::json;

use crate::stage::{Stage, name, role};

const OLD: &str = "1.0.0";
const NEW: &str = "1.1.0";
const STABLE: Span = Span::from_secs(30);
const WITHIN: Span = Span::from_secs(600);

/// Nodes of one platform with agents of the old release, and the new one imported.
fn stage(nodes: &[&str]) -> Stage {
    let mut stage = Stage::new(nodes, vec![role("base", json!({}))]);
    for node in nodes {
        stage.says(node, OLD);
    }
    stage.import(NEW, "linux/amd64", 1).unwrap();
    stage
}

impl Stage {
    fn import(&mut self, version: &str, platform: &str, program: u8) -> Result<(), Refusal> {
        let build = AgentBuild {
            content: Digest::of(&[program]),
            size: 1,
            sha256: Hex([program; 32]),
            signed: SignedRelease { statement: String::new(), key: Hex([0; 32]), signature: Hex([0; 64]) },
            imported_at: self.now,
        };
        let (version, platform) = (name(version), name(platform));
        self.command(Command::ImportAgentRelease { version, platform, build }).map(drop)
    }

    /// An agent comes, with a version and facts.
    fn says(&mut self, node: &str, version: &str) {
        self.hello(node, version, None);
    }

    fn hello(&mut self, node: &str, version: &str, report: Option<UpgradeReport>) {
        let node: NodeName = name(node);
        self.input(Input::AgentConnected { node: node.clone(), held: Vec::new() }).unwrap();
        self.input(Input::AgentSaid { node: node.clone(), version: version.parse().ok(), report }).unwrap();
        let facts = Facts { arch: "amd64".to_owned(), agent_version: version.to_owned(), ..Facts::default() };
        self.input(Input::FactsReported { node, facts: Box::new(facts) }).unwrap();
    }

    fn goes(&mut self, node: &str) {
        self.input(Input::AgentLost { node: name(node) }).unwrap();
    }

    /// An agent becomes the new release: it goes, and comes back as that.
    fn becomes(&mut self, node: &str, version: &str) {
        self.goes(node);
        self.says(node, version);
    }

    fn upgrade(&mut self, canaries: u32, max_in_flight: u32) -> Result<(), Refusal> {
        let version: Version = name(NEW);
        let wish = UpgradeWish { version, canaries, max_in_flight, stable_for: STABLE, report_within: WITHIN };
        self.command(Command::UpgradeAgents { wish }).map(drop)
    }

    /// Who was told since the last call.
    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    fn state(&self) -> &UpgradeState {
        &self.world.agent_upgrade().unwrap().state
    }

    fn step(&self, node: &str) -> Option<&StepState> {
        Some(&self.world.agents()[&name::<NodeName>(node)].step.as_ref()?.state)
    }

    /// Somebody holds the upgrade: who, and why.
    fn held(&self) -> (String, UpgradeFailure) {
        match self.state() {
            UpgradeState::Held { node, failure, .. } => (node.to_string(), failure.clone()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn one_goes_first_and_the_others_follow_so_many_at_once() {
    let mut stage = stage(&["n1", "n2", "n3", "n4"]);
    stage.upgrade(1, 2).unwrap();
    assert_eq!(stage.told(), ["n1"]);
    stage.becomes("n1", NEW);
    stage.pass(Span::from_secs(29));
    assert_eq!(stage.told(), [""; 0], "it is watched for a while");
    stage.pass(Span::from_secs(1));
    assert_eq!(stage.told(), ["n2", "n3"]);
    stage.becomes("n2", NEW);
    stage.pass(STABLE);
    assert_eq!(stage.told(), ["n4"]);
    stage.becomes("n3", NEW);
    stage.becomes("n4", NEW);
    stage.pass(STABLE);
    assert!(matches!(stage.state(), UpgradeState::Done { .. }), "{:?}", stage.state());
    // Once more finds nothing to do.
    stage.upgrade(1, 2).unwrap();
    assert!(matches!(stage.state(), UpgradeState::Done { .. }));
    assert_eq!(stage.told(), [""; 0]);
}

#[test]
fn who_goes_first_is_one_that_is_here_and_may_be_touched() {
    let mut stage = stage(&["n1", "n2", "n3"]);
    stage.goes("n1");
    let mode = NodeMode::Maintenance { reason: String::new() };
    stage.command(Command::SetNodeMode { node: name("n2"), mode }).unwrap();
    stage.upgrade(1, 1).unwrap();
    assert_eq!(stage.told(), ["n3"]);
    stage.becomes("n3", NEW);
    stage.pass(STABLE);
    assert_eq!(stage.told(), [""; 0]);
    stage.says("n1", OLD);
    assert_eq!(stage.told(), ["n1"], "who was away is told when it comes");
    stage.becomes("n1", NEW);
    stage.pass(STABLE);
    assert_eq!(stage.state(), &UpgradeState::Running, "one is left");
    stage.command(Command::SetNodeMode { node: name("n2"), mode: NodeMode::Ready }).unwrap();
    assert_eq!(stage.told(), ["n2"]);
}

#[test]
fn one_that_goes_back_holds_the_others() {
    let mut stage = stage(&["n1", "n2", "n3"]);
    stage.upgrade(1, 5).unwrap();
    stage.goes("n1");
    let failure = UpgradeFailure::RolledBack { reason: "it ended".to_owned() };
    stage.hello("n1", OLD, Some(UpgradeReport { upgrade: UpgradeNo(1), failure: failure.clone() }));
    assert_eq!(stage.held(), ("n1".to_owned(), failure.clone()));
    stage.pass(WITHIN);
    assert_eq!(stage.told(), ["n1"], "nobody else was told");
    // The next upgrade is another one: what the agent still says of the first does not count.
    stage.upgrade(1, 5).unwrap();
    assert_eq!(stage.told(), ["n1"]);
    stage.goes("n1");
    stage.hello("n1", OLD, Some(UpgradeReport { upgrade: UpgradeNo(1), failure }));
    assert_eq!(stage.told(), ["n1"], "it is told again");
    stage.becomes("n1", NEW);
    stage.pass(STABLE);
    assert_eq!(stage.told(), ["n2", "n3"]);
}

#[test]
fn one_that_refuses_holds_the_others_at_once() {
    let mut stage = stage(&["n1", "n2"]);
    stage.upgrade(1, 1).unwrap();
    let failure = UpgradeFailure::Refused { reason: "wrong signature".to_owned() };
    let of = |upgrade| UpgradeReport { upgrade: UpgradeNo(upgrade), failure: failure.clone() };
    stage.input(Input::UpgradeFailed { node: name("n2"), report: of(1) }).unwrap();
    stage.input(Input::UpgradeFailed { node: name("n1"), report: of(7) }).unwrap();
    assert_eq!(stage.state(), &UpgradeState::Running, "neither has anything to say about this");
    stage.input(Input::UpgradeFailed { node: name("n1"), report: of(1) }).unwrap();
    assert_eq!(stage.held(), ("n1".to_owned(), failure));
}

#[test]
fn silence_and_coming_and_going_hold_it_too() {
    let mut silent = stage(&["n1", "n2"]);
    silent.upgrade(1, 1).unwrap();
    silent.goes("n1");
    silent.pass(Span::from_secs(599));
    assert_eq!(silent.state(), &UpgradeState::Running);
    silent.pass(Span::from_secs(1));
    assert_eq!(silent.held(), ("n1".to_owned(), UpgradeFailure::Silent));

    let mut unstable = stage(&["n1", "n2"]);
    unstable.upgrade(1, 1).unwrap();
    for _ in 0..30 {
        unstable.becomes("n1", NEW);
        unstable.pass(Span::from_secs(10));
        unstable.goes("n1");
        unstable.pass(Span::from_secs(10));
    }
    assert_eq!(unstable.held(), ("n1".to_owned(), UpgradeFailure::Unstable));
    assert_eq!(unstable.told(), ["n1"]);
}

#[test]
fn what_is_in_flight_goes_on_when_others_are_held() {
    let mut stage = stage(&["n1", "n2", "n3", "n4"]);
    stage.upgrade(1, 2).unwrap();
    stage.becomes("n1", NEW);
    stage.pass(STABLE);
    stage.told();
    let failure = UpgradeFailure::Refused { reason: "no room".to_owned() };
    let report = UpgradeReport { upgrade: UpgradeNo(1), failure };
    stage.input(Input::UpgradeFailed { node: name("n2"), report }).unwrap();
    stage.becomes("n3", NEW);
    stage.pass(STABLE);
    assert!(matches!(stage.step("n3"), Some(StepState::Done { .. })));
    assert_eq!((stage.held().0.as_str(), stage.told()), ("n2", vec![]));
    assert_eq!(stage.step("n4"), None);
}

#[test]
fn a_person_stops_it() {
    let mut stage = stage(&["n1", "n2"]);
    assert_eq!(stage.command(Command::StopUpgrade).unwrap_err(), Refusal::NoUpgrade);
    stage.upgrade(1, 1).unwrap();
    assert_eq!(stage.upgrade(1, 1).unwrap_err(), Refusal::UpgradeRunning { version: name(NEW) });
    stage.command(Command::StopUpgrade).unwrap();
    stage.becomes("n1", NEW);
    stage.pass(STABLE);
    assert_eq!(stage.told(), ["n1"], "who was told goes on, and nobody else is told");
    assert_eq!(stage.command(Command::StopUpgrade).unwrap_err(), Refusal::NoUpgrade);
    stage.upgrade(1, 1).unwrap();
    assert_eq!(stage.told(), ["n2"]);
}

#[test]
fn the_time_without_an_engine_does_not_count() {
    let mut stage = stage(&["n1", "n2"]);
    stage.upgrade(1, 1).unwrap();
    stage.now = Span::from_secs(86_400).after(stage.now);
    stage.input(Input::TookOver).unwrap();
    stage.pass(Span::from_secs(1));
    assert_eq!(stage.state(), &UpgradeState::Running);
    stage.says("n1", OLD);
    assert_eq!(stage.told(), ["n1", "n1"], "the order may have been lost with the engine");
    stage.becomes("n1", NEW);
    stage.input(Input::TookOver).unwrap();
    stage.says("n1", NEW);
    stage.says("n2", OLD);
    stage.pass(STABLE);
    assert_eq!(stage.told(), ["n2"]);
}

#[test]
fn a_node_that_is_removed_does_not_hold_anybody() {
    let mut stage = stage(&["n1", "n2", "n3"]);
    stage.members(&["n2", "n3"]);
    stage.upgrade(1, 1).unwrap();
    stage.command(Command::RemoveNode { node: name("n1"), removal: NodeRemoval::Gone { allowed: vec![] } }).unwrap();
    assert_eq!(stage.told(), ["n1", "n2"], "the next one goes first");
}

#[test]
fn nobody_is_left_behind_for_want_of_a_program() {
    let mut stage = stage(&["n1"]);
    stage.add_node("n2");
    stage.says("n2", OLD);
    let facts = Facts { arch: "arm64".to_owned(), ..Facts::default() };
    stage.input(Input::FactsReported { node: name("n2"), facts: Box::new(facts) }).unwrap();
    let refused = stage.upgrade(1, 1).unwrap_err();
    let platform: ReleasePlatform = name("linux/arm64");
    assert_eq!(refused, Refusal::NoBuild { version: name(NEW), platform, nodes: vec![name("n2")] });
    assert_eq!(refused.to_string(), "release 1.1.0 has no program for linux/arm64, and n2 needs it");
    assert!(matches!(stage.import(NEW, "linux/amd64", 2), Err(Refusal::Exists { .. })));
    stage.import(NEW, "linux/amd64", 1).unwrap();
    stage.import(NEW, "linux/arm64", 2).unwrap();
    stage.upgrade(2, 1).unwrap();
    assert_eq!(stage.told(), ["n1", "n2"], "two go first");
    let version = name("9.9.9");
    let wish = UpgradeWish { version, canaries: 1, max_in_flight: 1, stable_for: STABLE, report_within: WITHIN };
    stage.command(Command::StopUpgrade).unwrap();
    assert!(matches!(stage.command(Command::UpgradeAgents { wish }), Err(Refusal::NotFound { .. })));
}

/// Agents that come, go, become the new release or fail at random: the invariants hold after every step (the stage looks), an
/// upgrade ends, and everybody who did not fail is the new release.
#[test]
fn whatever_agents_do_an_upgrade_ends() {
    const NODES: [&str; 7] = ["n1", "n2", "n3", "n4", "n5", "n6", "n7"];
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut stage = stage(&NODES);
        let mut versions: BTreeMap<&str, &str> = NODES.map(|it| (it, OLD)).into();
        stage.upgrade(rng.random_range(1..4), rng.random_range(1..4)).unwrap();
        for _ in 0..150 {
            let node = NODES[rng.random_range(0..NODES.len())];
            let is_told = stage.step(node).is_some_and(StepState::is_under_way);
            match rng.random_range(0..20) {
                0..8 if is_told => {
                    versions.insert(node, NEW);
                    stage.becomes(node, NEW);
                }
                8..12 => stage.goes(node),
                12..15 => stage.says(node, versions[node]),
                15 => stage.input(Input::TookOver).map(drop).unwrap(),
                16 if is_told && rng.random_bool(0.1) => {
                    let upgrade = stage.world.agent_upgrade().unwrap().no;
                    let failure = UpgradeFailure::RolledBack { reason: "it ended".to_owned() };
                    stage.hello(node, versions[node], Some(UpgradeReport { upgrade, failure }));
                }
                _ => stage.pass(Span::from_secs(rng.random_range(1..60))),
            }
        }
        // Faults stop: everybody comes, does what it is told, and stays; what is held is asked for again.
        for _ in 0..4 * NODES.len() {
            for node in NODES {
                if stage.step(node).is_some_and(StepState::is_under_way) {
                    versions.insert(node, NEW);
                }
                stage.says(node, versions[node]);
            }
            stage.pass(STABLE);
            if matches!(stage.state(), UpgradeState::Held { .. }) {
                stage.upgrade(1, 3).unwrap();
            }
        }
        assert!(matches!(stage.state(), UpgradeState::Done { .. }), "seed {seed}: {:?}", stage.state());
        assert!(versions.values().all(|it| *it == NEW), "seed {seed}: {versions:?}");
    }
}

/// An agent remembers what became of an upgrade by its number, and a database that was restored has forgotten some.
#[test]
fn numbers_go_on_above_those_that_were_given_out_before_a_restore() {
    let mut stage = stage(&["n1"]);
    stage.upgrade(1, 1).unwrap();
    stage.command(Command::StopUpgrade).unwrap();
    stage.world.apply(&Change::EpochBegan { epoch: Epoch(1_000) }).unwrap();
    stage.upgrade(1, 1).unwrap();
    assert_eq!(stage.world.agent_upgrade().unwrap().no, UpgradeNo(1_000));
    stage.command(Command::StopUpgrade).unwrap();
    stage.upgrade(1, 1).unwrap();
    assert_eq!(stage.world.agent_upgrade().unwrap().no, UpgradeNo(1_001));
}
