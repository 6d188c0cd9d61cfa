//! Becoming known to the engine, and staying so.

mod common;

use std::{os::unix::fs::PermissionsExt, process::Output};

use common::{agent::Agent, agent::until, engine::Engine};

fn complaint(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_good_token_gives_an_identity_that_connects() {
    let engine = Engine::start().await;
    let agent = Agent::running(&engine).await;
    let mode = std::fs::metadata(agent.state().join("identity.json")).expect("identity").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let hello = engine.with(|seen| seen.hellos[0].clone());
    assert_eq!((hello.boot_id.as_str(), hello.epoch, hello.held.len()), ("boot-1", 0, 0));
    let facts: serde_json::Value = serde_json::from_str(&engine.with(|seen| seen.facts[0].clone())).expect("JSON");
    assert_eq!(facts["boot_id"], "boot-1");
    assert!(facts["cpu"]["count"].as_u64().expect("number") > 0);
}

#[tokio::test]
async fn a_token_that_is_used_expired_or_unknown_is_refused() {
    let engine = Engine::start().await;
    let first = Agent::new();
    assert!(first.enrol(&engine, "good", &engine.ca.fingerprint).await.status.success());
    for (token, reason) in [("good", "has been used"), ("old", "has expired"), ("made-up-token", "is unknown")] {
        let agent = Agent::new();
        let complaint = complaint(&agent.enrol(&engine, token, &engine.ca.fingerprint).await);
        assert!(complaint.contains(reason), "{complaint}");
        assert!(!complaint.contains("made-up-token"), "{complaint}");
        assert!(!agent.state().join("identity.json").exists());
    }
}

#[tokio::test]
async fn an_engine_with_another_ca_does_not_get_the_token() {
    let engine = Engine::start().await;
    let agent = Agent::new();
    let complaint = complaint(&agent.enrol(&engine, "good", &"0".repeat(64)).await);
    assert!(complaint.contains("does not have the fingerprint"), "{complaint}");
    // Nothing was said, so the token is still good; and people write fingerprints in their own ways.
    let pairs: Vec<String> = engine
        .ca
        .fingerprint
        .to_uppercase()
        .as_bytes()
        .chunks(2)
        .map(|pair| String::from_utf8_lossy(pair).into_owned())
        .collect();
    let output = agent.enrol(&engine, "good", &pairs.join(":")).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn an_enrolment_file_is_used_once_and_removed() {
    let engine = Engine::start().await;
    let mut agent = Agent::new();
    let file = agent.file("enrol.json");
    let invitation = serde_json::json!({
        "engine": engine.address.to_string(), "token": "good", "ca_fingerprint": engine.ca.fingerprint,
    });
    std::fs::write(&file, invitation.to_string()).expect("file");
    agent.start();
    engine.connected(1).await;
    assert!(!file.exists());
}

#[tokio::test]
async fn without_identity_and_file_the_agent_says_what_to_do() {
    let mut agent = Agent::new();
    agent.start();
    assert!(!agent.ended().await.success());
    assert!(agent.log().contains("rebar-agent enrol"), "{}", agent.log());
}

#[tokio::test]
async fn a_certificate_is_renewed_and_used_at_the_next_connect() {
    let mut engine = Engine::start().await;
    engine.manner(|manner| {
        manner.certificate_age = time::Duration::minutes(50);
        manner.certificate_life = time::Duration::minutes(60);
    });
    let mut agent = Agent::new();
    assert!(agent.enrol(&engine, "good", &engine.ca.fingerprint).await.status.success());
    let identity = agent.state().join("identity.json");
    let before = std::fs::read_to_string(&identity).expect("identity");
    agent.start();
    engine.until("a renewal", |seen| (seen.renewals == 1).then_some(())).await;
    until("the new certificate", || std::fs::read_to_string(&identity).expect("identity") != before).await;
    engine.stop().await;
    engine.restart().await;
    engine.connected(2).await;
    assert_eq!(engine.with(|seen| seen.renewals), 1, "the new one is good for long");
}

#[tokio::test]
async fn a_second_agent_keeps_off_the_same_state() {
    let engine = Engine::start().await;
    let agent = Agent::running(&engine).await;
    let status = agent.command().status().await.expect("run");
    assert!(!status.success());
    assert!(agent.log().contains("in use by another agent"), "{}", agent.log());
}
