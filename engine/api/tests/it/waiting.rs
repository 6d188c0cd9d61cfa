//! `/deployments/{name}/wait`

use rebar_api::types::{WaitAnswer, WaitResult};
use rebar_ports::AgentDoor;
use reqwest::Method;
use serde_json::json;

use crate::fixture::{Fixture, sent};

async fn wait(fixture: &Fixture, query: &str) -> WaitAnswer {
    fixture.get(&format!("/deployments/demo/wait?{query}")).await
}

#[tokio::test]
async fn waiting_ends_when_it_is_reached() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo().await;
    assert_eq!(wait(&fixture, "for=active&timeout=1h").await.result, WaitResult::Unreachable, "nothing was applied");
    assert_eq!(wait(&fixture, "for=settled").await.result, WaitResult::Reached);
    fixture.apply("demo").await;
    assert_eq!(wait(&fixture, "for=active&timeout=0s").await.result, WaitResult::Timeout);
    let play = async {
        agent.serve().await;
        agent.succeed(json!({})).await;
    };
    let (active, settled, ()) =
        tokio::join!(wait(&fixture, "for=active"), wait(&fixture, "for=settled&timeout=5m"), play);
    assert_eq!((active.result, settled.result), (WaitResult::Reached, WaitResult::Reached));
    assert!(active.status.unwrap().active);
    fixture.refused(fixture.request(Method::GET, "/deployments/nope/wait"), 404, "RB2001").await;
    fixture.refused(fixture.request(Method::GET, "/deployments/demo/wait?for=ever"), 400, "RB4002").await;
    fixture.refused(fixture.request(Method::GET, "/deployments/demo/wait?timeout=1"), 400, "RB4002").await;
}

#[tokio::test]
async fn waiting_ends_when_it_cannot_be_reached() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo().await;
    fixture.apply("demo").await;
    let (active, _) = tokio::join!(wait(&fixture, "for=active"), agent.fail("E: no\n"));
    assert_eq!(active.result, WaitResult::Unreachable);
    let status = active.status.unwrap();
    assert!(status.needs_person && status.settled && !status.active);
    assert_eq!(wait(&fixture, "for=settled").await.result, WaitResult::Reached);
    assert_eq!(wait(&fixture, "for=removed").await.result, WaitResult::Unreachable);
}

#[tokio::test]
async fn time_runs_out_by_the_engines_clock() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo().await;
    fixture.apply("demo").await;
    agent.work().await;
    let mut waiting = tokio::spawn(sent(fixture.request(Method::GET, "/deployments/demo/wait?timeout=20s")));
    // The request has to be there before time goes on; its seat says so.
    let answer = loop {
        fixture.clock.advance(1);
        tokio::select! {
            answer = &mut waiting => break answer.unwrap(),
            _ = fixture.get::<serde_json::Value>("/deployments/demo/status") => {}
        }
    };
    let answer: WaitAnswer = answer.json().await.unwrap();
    assert_eq!(answer.result, WaitResult::Timeout);
}

#[tokio::test]
async fn a_node_that_may_come_back_is_waited_for() {
    let fixture = Fixture::start().await;
    let agent = fixture.demo().await;
    fixture.handle.disconnected(&agent.node, agent.session).await.unwrap();
    let mut away = fixture.get::<serde_json::Value>("/nodes/n1").await;
    while away["standing"] != "away" {
        away = fixture.get("/nodes/n1").await;
    }
    fixture.apply("demo").await;
    assert_eq!(wait(&fixture, "for=active&timeout=0s").await.result, WaitResult::Timeout);
    fixture.clock.advance(61);
    let waited = wait(&fixture, "for=active").await;
    assert_eq!(waited.result, WaitResult::Unreachable);
    assert!(waited.status.unwrap().node_roles[0].why.as_deref().unwrap().starts_with("node n1 is away since"));
}
