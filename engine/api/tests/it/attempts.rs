//! `/attempts` and their logs.

use rebar_api::types::{AttemptResult, AttemptView, LogLine, Page};
use reqwest::{Method, Response};
use serde_json::json;
use tokio::time::timeout;

use crate::fixture::{Fixture, PATIENCE, sent};

#[tokio::test]
async fn attempts_are_kept_without_their_secrets() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo().await;
    fixture.apply("demo").await;
    let failed = agent.fail("no\n").await;
    let _: serde_json::Value = fixture.post("/deployments/demo/retry", json!({}), 202).await;
    let succeeded = agent.serve().await;
    let view: AttemptView = fixture.get(&format!("/attempts/{}", failed.0)).await;
    assert_eq!((view.result, view.address.as_str()), (AttemptResult::Failed, "server@n1#1"));
    assert_eq!(view.failure.unwrap().exit_code, Some(100));
    let view: AttemptView = fixture.get(&format!("/attempts/{}", succeeded.0)).await;
    assert_eq!((view.result, view.note.as_deref()), (AttemptResult::Succeeded, Some("well")));
    assert_eq!(view.outputs[&"token".parse().unwrap()]["secret"], true);
    assert_eq!(view.inputs[&"password".parse().unwrap()].value["secret"], true);
    let list: Page<AttemptView> = fixture.get("/attempts?deployment=demo&address=server@n1&limit=1").await;
    assert_eq!(list.items.iter().map(|it| it.id).collect::<Vec<_>>(), [succeeded]);
    let token = list.next_page_token.unwrap();
    let rest: Page<AttemptView> = fixture.get(&format!("/attempts?address=demo/server@n1&page_token={token}")).await;
    assert_eq!((rest.items.len(), rest.items[0].id, rest.next_page_token), (1, failed, None));
    let before: Page<AttemptView> = fixture.get(&format!("/attempts?before={}", succeeded.0)).await;
    assert_eq!(before.items[0].id, failed);
    fixture.refused(fixture.request(Method::GET, "/attempts/999"), 404, "RB2001").await;
    fixture.refused(fixture.request(Method::GET, "/attempts/999/log"), 404, "RB2001").await;
    fixture.refused(fixture.request(Method::GET, "/attempts/x"), 400, "RB4002").await;
}

/// Reads lines until there are so many, or to the end.
async fn read(stream: &mut Response, buffer: &mut String, most: usize) -> Vec<LogLine> {
    while buffer.matches('\n').count() < most {
        match timeout(PATIENCE, stream.chunk()).await.expect("a line in time").unwrap() {
            Some(chunk) => buffer.push_str(std::str::from_utf8(&chunk).unwrap()),
            None => break,
        }
    }
    buffer.lines().map(|it| serde_json::from_str(it).unwrap()).collect()
}

#[tokio::test]
async fn a_log_is_followed_to_its_end() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo().await;
    fixture.apply("demo").await;
    let attempt = agent.work().await.attempt;
    agent.log(attempt, 0, "one\n").await;
    let path = format!("/attempts/{}/log", attempt.0);
    let mut followed = sent(fixture.request(Method::GET, &format!("{path}?follow=true"))).await;
    assert_eq!(followed.headers()["content-type"], "application/x-ndjson");
    let mut buffer = String::new();
    assert_eq!(read(&mut followed, &mut buffer, 1).await[0].text, "one\n");
    agent.log(attempt, 4, "two\n").await;
    assert_eq!(read(&mut followed, &mut buffer, 2).await.len(), 2);
    let so_far = sent(fixture.request(Method::GET, &path)).await.text().await.unwrap();
    assert_eq!(so_far, buffer, "without follow it ends at once");
    agent.log(attempt, 8, "three\n").await;
    let outputs = serde_json::from_value(json!({"url": "u", "token": "t"})).unwrap();
    agent.end(attempt, rebar_model::Report::Succeeded { outputs, converged: false, note: None }).await;
    let lines = read(&mut followed, &mut buffer, usize::MAX).await;
    let text: String = lines.iter().map(|it| it.text.as_str()).collect();
    assert_eq!(text, "one\ntwo\nthree\n");
    let last = lines.last().unwrap();
    let resumed = sent(fixture.request(Method::GET, &format!("{path}?follow=true&offset={}", last.offset))).await;
    let resumed: LogLine = serde_json::from_str(resumed.text().await.unwrap().trim()).unwrap();
    assert_eq!(resumed, *last);
}

#[tokio::test]
async fn a_log_of_more_pieces_than_one_batch_is_read_whole() {
    // As `src/limits.rs` has it.
    const LOG_BATCH: usize = 256;
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo().await;
    fixture.apply("demo").await;
    let attempt = agent.work().await.attempt;
    let mut written = String::new();
    for (before, pieces) in [(0, LOG_BATCH), (LOG_BATCH, LOG_BATCH + 1)] {
        for at in before..pieces {
            let piece = format!("{at}\n");
            agent.log(attempt, written.len() as u64, &piece).await;
            written.push_str(&piece);
        }
        let mut whole = sent(fixture.request(Method::GET, &format!("/attempts/{}/log", attempt.0))).await;
        let lines = read(&mut whole, &mut String::new(), usize::MAX).await;
        assert_eq!(lines.len(), pieces);
        assert_eq!(lines.into_iter().map(|it| it.text).collect::<String>(), written);
    }
}
