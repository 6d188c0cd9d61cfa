//! The limits of this door, at each and past it: what is too much gets a problem, and what is not is answered as ever.

use bytes::Bytes;
use futures::future::join_all;
use rebar_api::Config;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use crate::fixture::{Fixture, PATIENCE, package, sent};

/// As `src/limits.rs` has them.
const BODY: usize = 1 << 20;
const PACKAGE_BODY: usize = rebar_manifest::MAX_PACKAGE_BYTES + rebar_manifest::MAX_FILES * 2_048;
const IMPORTS: usize = 2;
const REQUESTS: usize = 256;
const STREAMS: usize = 1_024;
const HANDSHAKES: usize = 128;
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
async fn a_package_is_as_long_as_it_may_be() {
    let fixture = Fixture::start().await;
    // An archive of zeros is one of no files.
    let bytes = Bytes::from(vec![0; PACKAGE_BODY + 1]);
    let of = |length: usize| fixture.request(Method::POST, "/workloads").body(bytes.slice(..length));
    fixture.refused(of(PACKAGE_BODY), 422, "RB4010").await;
    fixture.refused(of(PACKAGE_BODY + 1), 413, "RB4005").await;
}

#[tokio::test]
async fn so_many_packages_are_read_at_one_time() {
    let fixture = Fixture::start().await;
    fixture.contents.shut();
    let import = |at: usize| {
        let (fixture, package) = (&fixture, package(&format!("1.{at}.0")));
        async move { fixture.import(&package).await.status() }
    };
    let look = async {
        fixture.contents.wait_for(IMPORTS).await;
        // Time enough for the last one, if it were let in.
        ask_often(&fixture).await;
        let reading = fixture.contents.waiting();
        fixture.contents.open();
        reading
    };
    let (imported, reading) = tokio::join!(join_all((0..=IMPORTS).map(import)), look);
    assert_eq!(reading, IMPORTS);
    assert_eq!(imported, [StatusCode::CREATED; IMPORTS + 1]);
}

/// Asks for something else, again and again, and is answered.
async fn ask_often(fixture: &Fixture) {
    for _ in 0..100 {
        let _: Value = fixture.get("/nodes").await;
    }
}

/// A client whose connection is there already, so that all its requests go by it.
async fn connected(fixture: &Fixture) -> Client {
    let client = fixture.another_client();
    assert_eq!(sent(fixture.request_by(&client, Method::GET, "/nodes")).await.status(), 200);
    client
}

/// A request that is held up by the gate in front of attempts, and then finds nothing.
fn held(fixture: &Fixture, client: &Client) -> tokio::task::JoinHandle<Response> {
    tokio::spawn(sent(fixture.request_by(client, Method::GET, "/attempts/999")))
}

#[tokio::test]
async fn so_many_requests_are_answered_at_one_time() {
    let fixture = Fixture::start().await;
    let clients = [connected(&fixture).await, connected(&fixture).await];
    fixture.attempts.shut();
    let hold = |at: usize| held(&fixture, &clients[at / STREAMS_PER_CONNECTION]);
    let mut waiting: Vec<_> = (0..REQUESTS - 1).map(hold).collect();
    fixture.attempts.wait_for(REQUESTS - 1).await;
    let _: Value = fixture.get("/nodes").await;
    waiting.push(hold(REQUESTS - 1));
    fixture.attempts.wait_for(REQUESTS).await;
    fixture.refused(fixture.request(Method::GET, "/nodes"), 503, "RB4007").await;
    // Those that stream have places of their own.
    let stream = fixture.request(Method::GET, "/events?since=now").header(header::ACCEPT, "text/event-stream");
    assert_eq!(sent(stream).await.status(), 200);
    fixture.attempts.open();
    for it in waiting {
        assert_eq!(it.await.unwrap().status(), 404, "who was let in is answered");
    }
    let _: Value = fixture.get("/nodes").await;
}

#[tokio::test]
async fn so_many_requests_of_one_connection_are_answered_at_one_time() {
    let fixture = Fixture::start().await;
    let client = connected(&fixture).await;
    fixture.attempts.shut();
    let waiting: Vec<_> = (0..=STREAMS_PER_CONNECTION).map(|_| held(&fixture, &client)).collect();
    fixture.attempts.wait_for(STREAMS_PER_CONNECTION).await;
    ask_often(&fixture).await;
    assert_eq!(fixture.attempts.waiting(), STREAMS_PER_CONNECTION, "the last one waits, and others are answered");
    fixture.attempts.open();
    for it in waiting {
        assert_eq!(it.await.unwrap().status(), 404);
    }
}

#[tokio::test]
async fn so_many_greet_at_one_time() {
    let fixture = Fixture::start().await;
    let silent = async || TcpStream::connect(fixture.address).await.unwrap();
    let mut greeting = Vec::new();
    while greeting.len() < HANDSHAKES - 1 {
        greeting.push(silent().await);
    }
    let client = connected(&fixture).await;
    greeting.push(silent().await);
    let mut refused = silent().await;
    let read = timeout(PATIENCE, refused.read(&mut [0])).await.expect("an end in time");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    // Who has greeted is not in the way of others, nor they in its.
    assert_eq!(sent(fixture.request_by(&client, Method::GET, "/nodes")).await.status(), 200);
    greeting.pop();
    let again = until_let_in(|| fixture.request_by(&fixture.another_client(), Method::GET, "/nodes")).await;
    assert_eq!(again.status(), 200);
}

#[tokio::test]
async fn so_many_connections_are_served() {
    const FEW: usize = 3;
    let fixture = Fixture::start_with(Config { connections: FEW, ..Config::default() }).await;
    let mut clients = Vec::new();
    while clients.len() < FEW {
        clients.push(connected(&fixture).await);
    }
    let other = fixture.another_client();
    let request = || fixture.request_by(&other, Method::GET, "/nodes");
    let refused = timeout(PATIENCE, request().send()).await.expect("an end in time");
    assert!(refused.is_err(), "{refused:?}");
    for client in &clients {
        assert_eq!(sent(fixture.request_by(client, Method::GET, "/nodes")).await.status(), 200);
    }
    clients.pop();
    assert_eq!(until_let_in(request).await.status(), 200);
}

/// The engine sees the end of a connection a moment after the client made it.
async fn until_let_in(request: impl Fn() -> RequestBuilder) -> Response {
    for _ in 0..10_000 {
        if let Ok(response) = timeout(PATIENCE, request().send()).await.expect("an end in time") {
            return response;
        }
    }
    panic!("a place that was left is never given again");
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
