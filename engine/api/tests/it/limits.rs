//! The limits of this door, at each and past it: what is too much gets a problem, and what is not is answered as ever.

use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::fixture::{Fixture, sent};

/// As `src/limits.rs` has them.
const BODY: usize = 1 << 20;
const STREAMS: usize = 1_024;
const STREAMS_PER_CONNECTION: usize = 128;
const TOKEN_NAME: usize = 63;
const REASON: usize = 500;

#[tokio::test]
async fn a_body_is_as_long_as_it_may_be() {
    let fixture = Fixture::start().await;
    let of = |length: usize| {
        let json = "application/json";
        fixture.request(Method::POST, "/deployments").header(header::CONTENT_TYPE, json).body(" ".repeat(length))
    };
    fixture.refused(of(BODY), 400, "RB4002").await;
    fixture.refused(of(BODY + 1), 413, "RB4005").await;
}

#[tokio::test]
async fn a_token_has_a_name_of_bounded_length() {
    let fixture = Fixture::start().await;
    let _: Value = fixture.post("/tokens", json!({"name": "a".repeat(TOKEN_NAME)}), 201).await;
    let long = fixture.request(Method::POST, "/tokens").json(&json!({"name": "a".repeat(TOKEN_NAME + 1)}));
    let problem = fixture.refused(long, 400, "RB4002").await;
    assert!(problem.detail.contains("at most 63"), "{}", problem.detail);
}

#[tokio::test]
async fn a_reason_is_cut_where_it_is_too_long() {
    let fixture = Fixture::start().await;
    let _agent = fixture.active_demo().await;
    for (length, kept) in [(REASON, REASON), (REASON + 1, REASON)] {
        let reason = "r".repeat(length);
        let _: Value = fixture.post("/deployments/demo/pause", json!({"reason": reason}), 202).await;
        let shown: Value = fixture.get("/deployments/demo").await;
        let text = shown.to_string();
        assert!(text.contains(&"r".repeat(kept - 1)) && !text.contains(&"r".repeat(kept + 1)), "{length}: {text}");
        let _: Value = fixture.post("/deployments/demo/resume", json!({}), 202).await;
    }
}

#[tokio::test]
async fn so_many_readers_stream_at_one_time() {
    let fixture = Fixture::start().await;
    let read = |at: usize| {
        let client = &clients(&fixture)[at / STREAMS_PER_CONNECTION];
        fixture.request_by(client, Method::GET, "/events?since=now").header(header::ACCEPT, "text/event-stream")
    };
    let mut open = Vec::with_capacity(STREAMS);
    for at in 0..STREAMS {
        let response = sent(read(at)).await;
        assert_eq!(response.status(), 200, "stream {at}");
        open.push(response);
    }
    fixture.refused(read(STREAMS), 503, "RB4007").await;
    // Who is answered at once is not held up by those who read.
    let _: Value = fixture.get("/nodes").await;
    open.pop();
    let mut tries = 0;
    // The engine sees the end of a stream a moment after the client made it.
    while sent(read(STREAMS)).await.status() != 200 {
        tries += 1;
        assert!(tries < 10_000, "a place that was left is never given again");
    }
}

/// Clients with a connection of their own each.
fn clients(fixture: &Fixture) -> &[reqwest::Client] {
    static CLIENTS: std::sync::OnceLock<Vec<reqwest::Client>> = std::sync::OnceLock::new();
    CLIENTS.get_or_init(|| (0..=STREAMS / STREAMS_PER_CONNECTION).map(|_| fixture.another_client()).collect())
}
