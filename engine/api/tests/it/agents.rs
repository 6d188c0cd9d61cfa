//! `/agents`, `/agent-releases`, `/agent-upgrade`

use rebar_api::types::{AgentReleaseView, AgentStanding, AgentView, ImportRelease, Page, UpgradeView};
use rebar_model::{Facts, Hex, MAX_RELEASE_BYTES, ReleaseKey, UpgradeFailure, UpgradeNo, UpgradeReport};
use rebar_ports::{AgentCommand, AgentDoor};
use reqwest::{Method, RequestBuilder};
use ring::{
    digest,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::json;
use tokio::time::timeout;

use crate::fixture::{Agent, Fixture, PATIENCE, sent};

const PROGRAM: &[u8] = b"a program";

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn hex<const N: usize>(bytes: &[u8]) -> Hex<N> {
    Hex(bytes.try_into().unwrap())
}

/// The release key of the fixture's engine.
pub fn release_key() -> ReleaseKey {
    hex(pair(1).public_key().as_ref())
}

/// What a key says about a program.
fn signed(seed: u8, version: &str, program: &[u8]) -> ImportRelease {
    let sha256: Hex<32> = hex(digest::digest(&digest::SHA256, program).as_ref());
    let statement =
        json!({"kind": "rebar-agent-release", "version": version, "platform": "linux/amd64", "sha256": sha256});
    let statement = statement.to_string();
    let pair = pair(seed);
    let signature = hex(pair.sign(statement.as_bytes()).as_ref());
    ImportRelease { statement, key: hex(pair.public_key().as_ref()), signature }
}

impl Fixture {
    fn import_release(&self, signed: &ImportRelease, program: &[u8]) -> RequestBuilder {
        self.request(Method::POST, "/agent-releases").query(signed).body(program.to_vec())
    }

    async fn agents(&self) -> Vec<AgentView> {
        self.get::<Page<AgentView>>("/agents").await.items
    }
}

async fn platform(fixture: &Fixture, agent: &Agent) {
    let facts = Facts { arch: "amd64".to_owned(), ..Facts::default() };
    fixture.handle.facts(&agent.node, facts).await.unwrap();
}

#[tokio::test]
async fn what_a_known_key_signed_is_imported_and_nothing_else() {
    let fixture = Fixture::start().await;
    let good = signed(1, "1.1.0", PROGRAM);
    assert_eq!(sent(fixture.import_release(&good, PROGRAM)).await.status(), 201);
    assert_eq!(sent(fixture.import_release(&good, PROGRAM)).await.status(), 201, "the same again changes nothing");
    let listed: Page<AgentReleaseView> = fixture.get("/agent-releases").await;
    let [release] = listed.items.as_slice() else { panic!("{listed:?}") };
    assert_eq!((release.version.to_string().as_str(), release.builds[0].size), ("1.1.0", 9));
    let refused = async |signed: &ImportRelease, program: &[u8], status, code| {
        fixture.refused(fixture.import_release(signed, program), status, code).await.detail
    };
    let unknown = refused(&signed(2, "1.2.0", PROGRAM), PROGRAM, 422, "RB4504").await;
    assert!(unknown.contains("not one of this engine's release keys"), "{unknown}");
    assert!(refused(&good, b"another", 422, "RB4504").await.contains("was signed"));
    let renamed = ImportRelease { statement: good.statement.replace("1.1.0", "1.2.0"), ..good.clone() };
    refused(&renamed, PROGRAM, 422, "RB4504").await;
    refused(&signed(1, "1.1.0", b"another"), b"another", 409, "RB2002").await;
    let listed: Page<AgentReleaseView> = fixture.get("/agent-releases").await;
    assert_eq!(listed.items, std::slice::from_ref(release), "what was refused left nothing");
}

#[tokio::test]
async fn a_program_has_a_largest_size() {
    let fixture = Fixture::start().await;
    let largest = vec![0; MAX_RELEASE_BYTES];
    let response = sent(fixture.import_release(&signed(1, "1.0.0", &largest), &largest)).await;
    assert_eq!(response.status(), 201);
    let program = vec![0; MAX_RELEASE_BYTES + 1];
    fixture.refused(fixture.import_release(&signed(1, "1.0.1", &program), &program), 413, "RB4005").await;
}

#[tokio::test]
async fn an_upgrade_is_told_to_agents_held_and_stopped() {
    let fixture = Fixture::start().await;
    fixture.refused(fixture.request(Method::GET, "/agent-upgrade"), 404, "RB2001").await;
    fixture.refused(fixture.request(Method::POST, "/agent-upgrade/stop"), 409, "RB4502").await;
    let (mut n1, n2) = (fixture.agent("n1").await, fixture.agent("n2").await);
    platform(&fixture, &n1).await;
    platform(&fixture, &n2).await;
    let start = |body| fixture.request(Method::POST, "/agent-upgrade").json(&body);
    fixture.refused(start(json!({"version": "1.1.0"})), 404, "RB2001").await;
    sent(fixture.import_release(&signed(1, "1.1.0", PROGRAM), PROGRAM)).await;
    for bad in [
        json!({"canaries": 0}),
        json!({"max_in_flight": 1001}),
        json!({"stable_for": "8d"}),
        json!({"stable_for": "14s"}),
        json!({"x": 1}),
    ] {
        let mut body = bad;
        body["version"] = json!("1.1.0");
        fixture.refused(start(body), 400, "RB4002").await;
    }
    let view: UpgradeView = fixture.post("/agent-upgrade", json!({"version": "1.1.0"}), 202).await;
    assert_eq!((view.state.as_str(), view.agents, view.upgraded, view.under_way), ("running", 2, 0, 1));
    fixture.refused(start(json!({"version": "1.1.0"})), 409, "RB4501").await;
    let AgentCommand::Upgrade(order) = n1.command().await else { panic!("another command") };
    assert_eq!((order.upgrade, order.content), (UpgradeNo(1), rebar_model::Digest::of(PROGRAM)));
    assert_eq!(fixture.handle.content(order.content).await.unwrap().as_deref(), Some(PROGRAM));
    let agents = fixture.agents().await;
    assert_eq!((agents[0].standing, agents[1].standing), (AgentStanding::Told, AgentStanding::Waiting));
    assert_eq!(agents[1].reason.as_deref(), Some("others are before it"));

    let failure = UpgradeFailure::Refused { reason: "no room".to_owned() };
    let report = UpgradeReport { upgrade: UpgradeNo(1), failure };
    fixture.handle.upgrade_failed(&n1.node, report).await.unwrap();
    let view: UpgradeView = fixture.get("/agent-upgrade").await;
    assert_eq!(
        (view.state.as_str(), view.held_by.as_ref(), view.code.as_deref()),
        ("held", Some(&n1.node), Some("RB4505"))
    );
    assert!(view.reason.is_some_and(|it| it.contains("no room")));
    assert_eq!(fixture.agents().await[0].standing, AgentStanding::Failed);
    let view: UpgradeView = fixture.post("/agent-upgrade/stop", json!({}), 202).await;
    assert_eq!(view.state, "stopped");
}

#[tokio::test]
async fn so_many_agents_may_go_first() {
    // As `src/limits.rs` has it.
    const CANARIES_MOST: u32 = 100;
    let fixture = Fixture::start().await;
    let agent = fixture.agent("n1").await;
    platform(&fixture, &agent).await;
    sent(fixture.import_release(&signed(1, "1.1.0", PROGRAM), PROGRAM)).await;
    let wish = |canaries: u32| json!({"version": "1.1.0", "canaries": canaries});
    let many = fixture.request(Method::POST, "/agent-upgrade").json(&wish(CANARIES_MOST + 1));
    let problem = fixture.refused(many, 400, "RB4002").await;
    assert!(problem.detail.contains("1 to 100"), "{}", problem.detail);
    let view: UpgradeView = fixture.post("/agent-upgrade", wish(CANARIES_MOST), 202).await;
    assert_eq!(view.canaries, CANARIES_MOST);
}

#[tokio::test]
async fn so_many_agents_are_upgraded_at_one_time() {
    // As `src/limits.rs` has them.
    const IN_FLIGHT: usize = 10;
    const STABLE_FOR: u64 = 30;
    let fixture = Fixture::start().await;
    let mut agents = Vec::new();
    for at in 0..IN_FLIGHT + 3 {
        let agent = fixture.agent(&format!("n{at:02}")).await;
        platform(&fixture, &agent).await;
        agents.push(agent);
    }
    sent(fixture.import_release(&signed(1, "1.1.0", PROGRAM), PROGRAM)).await;
    let _: UpgradeView = fixture.post("/agent-upgrade", json!({"version": "1.1.0"}), 202).await;
    // How many are done, under way and to be told, once so many are done.
    let counts = async |done: usize| {
        let looks = async {
            loop {
                let seen: Vec<_> = fixture.agents().await.iter().map(|it| it.standing).collect();
                let count = |wanted: AgentStanding| seen.iter().filter(|it| **it == wanted).count();
                if count(AgentStanding::Upgraded) == done {
                    return [count(AgentStanding::Told), count(AgentStanding::Waiting)];
                }
            }
        };
        timeout(PATIENCE, looks).await.expect("agents to be done")
    };
    assert_eq!(counts(0).await, [1, IN_FLIGHT + 2], "one goes first");
    for (at, expected) in [(0, [IN_FLIGHT, 2]), (1, [IN_FLIGHT, 1]), (2, [IN_FLIGHT, 0])] {
        fixture.comes_back(&agents[at], "1.1.0").await;
        fixture.clock.advance(STABLE_FOR);
        assert_eq!(counts(at + 1).await, expected);
    }
}
