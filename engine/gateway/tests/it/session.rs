//! Sessions from hello to every kind of end.

use std::time::Duration;

use rebar_gateway::Limits;
use rebar_model::{AttemptId, Digest, Epoch};
use rebar_ports::{AgentCommand, AgentGone};
use rebar_proto::v1::{
    AttemptResult, Cancel, Facts, FetchRequest, Heartbeat, LogAck, LogChunk, Progress, ResultAck, Started, Succeeded,
    agent_message::Body, attempt_result, engine_message,
};
use tonic::Code;

use crate::{door::EPOCH, fixture::Fixture};

fn result(attempt: u64) -> Body {
    let outcome = attempt_result::Outcome::Succeeded(Succeeded::default());
    Body::Result(AttemptResult { attempt, finished_at: None, outcome: Some(outcome), log_bytes: 0 })
}

fn log(attempt: u64, offset: u64, text: &str) -> Body {
    Body::Log(LogChunk { attempt, offset, phase: 3, at: None, data: text.into(), lost: 0 })
}

fn cancel(attempt: u64) -> AgentCommand {
    AgentCommand::Cancel { attempt: AttemptId(attempt), epoch: EPOCH }
}

#[tokio::test]
async fn the_welcome_comes_first_and_commands_follow() {
    let fixture = Fixture::start().await;
    fixture.door.greeting.lock().unwrap().push(cancel(7));
    let mut agent = fixture.agent("n1").await;
    assert_eq!(agent.hello(EPOCH.0).await.unwrap().epoch, EPOCH.0);
    let expected = engine_message::Body::Cancel(Cancel { attempt: 7, epoch: EPOCH.0 });
    assert_eq!(agent.hear().await.unwrap(), expected);
    fixture.door.session("n1").send(cancel(8)).unwrap();
    let expected = engine_message::Body::Cancel(Cancel { attempt: 8, epoch: EPOCH.0 });
    assert_eq!(agent.hear().await.unwrap(), expected);
}

#[tokio::test]
async fn a_result_is_acknowledged_when_it_is_stored_and_holds_nothing_up() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.welcomed("n1").await;
    agent.say(Body::Facts(Facts { json: r#"{"hostname": "h"}"#.into() })).await;
    agent.say(Body::Started(Started { attempt: 1, at: None })).await;
    agent.say(log(1, 0, "one")).await;
    agent.say(result(1)).await;
    agent.say(log(1, 3, "after")).await;
    agent.say(Body::Progress(Progress { attempt: 2, phase: 3, percent: 250, text: String::new() })).await;
    agent.say(result(2)).await;
    let ack = |attempt| engine_message::Body::ResultAck(ResultAck { attempt });
    assert_eq!(agent.hear().await.unwrap(), engine_message::Body::LogAck(LogAck { attempt: 1, offset: 3 }));
    // The first result is not durable yet; the second is not held up by that.
    assert_eq!(agent.hear().await.unwrap(), ack(2));
    fixture.door.saw("n1 storing a-1").await;
    assert!(!fixture.door.calls().contains(&"n1 ended a-1".to_owned()));
    fixture.door.gate.add_permits(1);
    assert_eq!(agent.hear().await.unwrap(), ack(1));
    assert_eq!(agent.hear().await.unwrap(), engine_message::Body::LogAck(LogAck { attempt: 1, offset: 8 }));
    drop(agent);
    fixture.door.saw("n1 disconnected 1").await;
    let calls = fixture.door.calls();
    let of_first: Vec<_> = calls.iter().filter(|it| it.contains("a-1")).map(String::as_str).collect();
    assert_eq!(
        of_first,
        ["n1 started a-1", "n1 log a-1 0 one", "n1 storing a-1", "n1 ended a-1", "n1 log a-1 3 after"]
    );
    for call in ["n1 facts h", "n1 progress a-2 100"] {
        assert!(calls.iter().any(|it| it == call), "{call} in {calls:?}");
    }
}

#[tokio::test]
async fn what_was_said_before_the_end_is_stored() {
    let fixture = Fixture::start().await;
    let agent = fixture.welcomed("n1").await;
    agent.say(result(1)).await;
    fixture.door.saw("n1 storing a-1").await;
    drop(agent);
    fixture.door.gate.add_permits(1);
    fixture.door.saw("n1 disconnected 1").await;
    assert!(fixture.door.calls().contains(&"n1 ended a-1".to_owned()));
}

#[tokio::test]
async fn hello_is_awaited_for_a_while_only() {
    let fixture = Fixture::with(Limits { hello: Duration::from_millis(100), ..Limits::default() }).await;
    let status = fixture.agent("n1").await.end().await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(fixture.door.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn an_agent_that_breaks_the_protocol_is_told_why() {
    let fixture = Fixture::start().await;
    let mut early = fixture.agent("n1").await;
    early.say(Body::Heartbeat(Heartbeat {})).await;
    assert_eq!(early.end().await.code(), Code::InvalidArgument);
    for (number, (bad, word)) in [
        (Body::Facts(Facts { json: "[]".into() }), "one JSON object"),
        (Body::Result(AttemptResult::default()), "neither"),
        (log(1, u64::MAX, "x"), "too large a number"),
        (Body::Facts(Facts { json: " ".repeat(5 * 1024 * 1024) }), "too large"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut agent = fixture.welcomed("n1").await;
        agent.say(bad).await;
        let status = agent.end().await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains(word), "{status:?}");
        fixture.door.saw(&format!("n1 disconnected {}", number + 1)).await;
    }
}

#[tokio::test]
async fn a_silent_agent_is_lost_and_one_that_answers_is_not() {
    let fixture = Fixture::with(Limits { ping: Duration::from_millis(100), ..Limits::default() }).await;
    let mut silent = fixture.welcomed("n1").await;
    let mut alive = fixture.welcomed("n2").await;
    let waiting = tokio::spawn(async move { alive.hear().await });
    assert_ne!(silent.end().await.code(), Code::Ok);
    fixture.door.saw("n1 disconnected 1").await;
    // Another silent one is lost in the time in which the one that answers is not.
    let mut later = fixture.welcomed("n3").await;
    assert_ne!(later.end().await.code(), Code::Ok);
    fixture.door.session("n2").send(cancel(1)).unwrap();
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn an_agent_that_does_not_read_is_lost() {
    let fixture = Fixture::with(Limits { queue: 8, ..Limits::default() }).await;
    let _agent = fixture.welcomed("n1").await;
    let session = fixture.door.session("n1");
    let mut sent = 0_u64;
    while session.send(cancel(sent)).is_ok() {
        sent += 1;
        if sent.is_multiple_of(8) {
            tokio::task::yield_now().await;
        }
        assert!(sent < 10_000_000, "the queue has no end");
    }
    fixture.door.saw("n1 disconnected 1").await;
    assert_eq!(session.send(cancel(0)), Err(AgentGone));
}

#[tokio::test]
async fn a_later_session_takes_the_place_of_the_one_before() {
    let fixture = Fixture::start().await;
    let mut first = fixture.welcomed("n1").await;
    let mut second = fixture.welcomed("n1").await;
    assert_eq!(first.end().await.code(), Code::Aborted);
    fixture.door.saw("n1 disconnected 1").await;
    fixture.door.session("n1").send(cancel(3)).unwrap();
    assert!(second.hear().await.is_ok());
}

#[tokio::test]
async fn the_engine_can_refuse_and_let_go() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.agent("removed").await.hello(0).await.unwrap_err().code(), Code::PermissionDenied);
    let newer = Epoch(EPOCH.0 + 1);
    assert_eq!(fixture.agent("n1").await.hello(newer.0).await.unwrap_err().code(), Code::Aborted);
    let mut agent = fixture.welcomed("n1").await;
    fixture.door.let_go("n1");
    assert_eq!(agent.end().await.code(), Code::Unavailable);
    fixture.door.saw("n1 disconnected 1").await;
}

#[tokio::test]
async fn sessions_are_limited() {
    let fixture = Fixture::with(Limits { sessions: 1, ..Limits::default() }).await;
    let agent = fixture.welcomed("n1").await;
    let identity = fixture.ca.agent("n2", crate::ca::Validity::Long);
    let mut client = rebar_proto::v1::agent_client::AgentClient::new(fixture.channel(Some(&identity)).await.unwrap());
    let refused = client.session(tokio_stream::pending()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop(agent);
    fixture.door.saw("n1 disconnected 1").await;
}

#[tokio::test]
async fn further_calls_of_a_connection_wait() {
    let fixture = Fixture::start().await;
    // More than fits into what may be on its way: a transfer stands as long as nobody reads it.
    let bytes = vec![7; 32 * 1024 * 1024];
    let (large, unknown) = (Digest::of(&bytes), Digest::of(b"unknown"));
    fixture.door.blobs.lock().unwrap().insert(large, bytes);
    let fetch = |digest: Digest| FetchRequest { digest: digest.to_string(), offset: 0 };
    let mut agent = fixture.welcomed("n1").await;
    let mut standing = Vec::new();
    // As `src/limits.rs` has it; one of them is the session.
    for _ in 1..16 {
        standing.push(agent.client.fetch(fetch(large)).await.unwrap());
    }
    let mut client = agent.client.clone();
    let further = tokio::spawn(async move { client.fetch(fetch(unknown)).await.map(drop) });
    // The connection goes on meanwhile.
    for attempt in 1..=8 {
        agent.say(Body::Started(Started { attempt, at: None })).await;
        fixture.door.saw(&format!("n1 started a-{attempt}")).await;
    }
    assert!(!further.is_finished());
    drop(standing.pop());
    let answer = tokio::time::timeout(Duration::from_secs(20), further).await.unwrap().unwrap();
    assert_eq!(answer.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_stop_ends_sessions_in_order() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.welcomed("n1").await;
    fixture.stop.cancel();
    assert_eq!(agent.end().await.code(), Code::Unavailable);
    drop(agent);
    tokio::time::timeout(Duration::from_secs(7), fixture.serving).await.unwrap().unwrap().unwrap();
    assert!(fixture.door.calls().contains(&"n1 disconnected 1".to_owned()));
}
