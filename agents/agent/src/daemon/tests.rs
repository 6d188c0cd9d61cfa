//! The daemon without a door: what it does when nobody takes what it says, and what others do when it takes nothing.

use std::path::Path;

use rebar_proto::v1::{Dispatch, EngineMessage, Phase, Welcome, agent_message};
use tonic::transport::Endpoint;

use super::{look::MAX_PENDING, *};
use crate::disk::budget::{Budget, MAX_SPOOLS};

fn daemon(home: &Path) -> Daemon {
    let state = State::open(home).expect("state");
    let lock = state.lock().expect("lock");
    Daemon::recover(state, MAX_SPOOLS, lock).expect("daemon")
}

/// A session that takes nothing by itself.
fn opened() -> Opened {
    let (outbound, _) = mpsc::channel(1);
    let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    let local = ([127, 0, 0, 1], 1).into();
    Opened { outbound, channel, local, hang_up: CancellationToken::new(), welcomed: Arc::default() }
}

#[tokio::test]
async fn no_more_log_is_read_than_the_session_takes() {
    let home = tempfile::tempdir().expect("directory");
    let mut daemon = daemon(home.path());
    let dir = daemon.state.attempt(1);
    let mut log = spool::Writer::open(&dir.log(), Budget::of(&dir, MAX_SPOOLS)).expect("log");
    let said: Vec<String> = (0..3 * MAX_PENDING).map(|line| format!("line {line}\n")).collect();
    for line in &said {
        log.append(Phase::Apply.into(), 0, line.as_bytes()).expect("append");
    }
    let state = RecoveredState::Running { at_ms: 0 };
    let held = RecoveredAttempt { attempt: 1, node_role: "demo/a@n1".to_owned(), log_from: 0, state };
    daemon.link = Link::recover(Recovered { epoch: 1, attempts: vec![held], forgotten: Vec::new() });
    daemon.attempts.insert(1, Attempt::new(dir, Stage::Supervised));

    daemon.on_session(session::Event::Opened(opened()));
    let welcome = engine_message::Body::Welcome(Welcome { epoch: 1, node: "n1".to_owned() });
    daemon.on_session(session::Event::Message(EngineMessage { body: Some(welcome) }));
    assert_eq!(daemon.pending.len(), MAX_PENDING);
    // Each that is taken makes room for one.
    let mut heard = Vec::new();
    while let Some(message) = daemon.pending.pop_front() {
        if let Some(agent_message::Body::Log(chunk)) = message.body {
            heard.extend(chunk.data);
        }
        daemon.pump();
        assert!(daemon.pending.len() <= MAX_PENDING);
    }
    assert_eq!(String::from_utf8(heard).expect("text"), said.concat());
}

#[tokio::test]
async fn who_reports_waits_until_the_daemon_takes_it() {
    let home = tempfile::tempdir().expect("directory");
    let mut daemon = daemon(home.path());
    for attempt in 0..=MAX_EVENTS as u64 {
        // Nothing has such a digest, so there is something to report at once.
        daemon.start(Dispatch { attempt, content: "none".to_owned(), ..Dispatch::default() });
    }
    for _ in 0..MAX_EVENTS {
        daemon.tasks.join_next().await.expect("a task").expect("an end");
    }
    assert!(daemon.tasks.try_join_next().is_none(), "the last one cannot say it yet");
    assert_eq!((daemon.tasks.len(), daemon.begun.len()), (1, MAX_EVENTS));
    let begun = daemon.begun.recv().await.expect("a report");
    daemon.on_begun(begun);
    daemon.tasks.join_next().await.expect("a task").expect("an end");
    assert_eq!((daemon.tasks.len(), daemon.begun.len()), (0, MAX_EVENTS));
}
