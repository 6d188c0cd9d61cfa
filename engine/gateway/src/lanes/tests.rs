//! Order and limits of what waits to be stored.

use std::sync::Mutex;

use async_trait::async_trait;
use rebar_model::{Digest, Epoch};
use rebar_ports::{AgentHello, AgentSession, SessionId};
use tokio::sync::Semaphore;

use super::*;

/// Notes what it is asked; the end of attempt 1 waits until it is let through.
struct Door {
    gate: Semaphore,
    seen: Mutex<Vec<String>>,
}

impl Door {
    fn note(&self, what: String) {
        self.seen.lock().unwrap().push(what);
    }
}

#[async_trait]
impl AgentDoor for Door {
    async fn enrol(&self, _: &str) -> Result<NodeName, DoorError> {
        Err(DoorError::UnknownToken)
    }
    async fn connected(
        &self,
        node: &NodeName,
        _: AgentHello,
        _: Arc<dyn AgentSession>,
    ) -> Result<(SessionId, Epoch), DoorError> {
        Err(DoorError::UnknownNode(node.clone()))
    }
    async fn disconnected(&self, _: &NodeName, _: SessionId) -> Result<(), DoorError> {
        Ok(())
    }
    async fn facts(&self, _: &NodeName, _: Facts) -> Result<(), DoorError> {
        self.note("facts".into());
        Ok(())
    }
    async fn started(&self, _: &NodeName, attempt: AttemptId) -> Result<(), DoorError> {
        if attempt == AttemptId(1) {
            self.gate.acquire().await.unwrap().forget();
        }
        self.note(format!("{attempt} started"));
        Ok(())
    }
    async fn progress(
        &self,
        _: &NodeName,
        attempt: AttemptId,
        _: Option<Phase>,
        percent: u32,
        _: String,
    ) -> Result<(), DoorError> {
        self.note(format!("{attempt} {percent}%"));
        Ok(())
    }
    async fn ended(&self, _: &NodeName, attempt: AttemptId, _: Report) -> Result<(), DoorError> {
        self.note(format!("{attempt} ended"));
        Ok(())
    }
    async fn upgrade_failed(&self, _: &NodeName, report: UpgradeReport) -> Result<(), DoorError> {
        self.note(format!("upgrade {} failed", report.upgrade));
        Ok(())
    }
    async fn log(&self, _: &NodeName, chunk: LogChunk) -> Result<u64, DoorError> {
        Ok(chunk.offset + chunk.bytes)
    }
    async fn content(&self, _: Digest) -> Result<Option<Vec<u8>>, DoorError> {
        Ok(None)
    }
}

fn progress(attempt: u64, percent: u32) -> Job {
    Job::Progress { attempt: AttemptId(attempt), phase: None, percent, text: String::new() }
}

#[tokio::test]
async fn attempts_pass_each_other_but_not_themselves() {
    let door = Arc::new(Door { gate: Semaphore::new(0), seen: Mutex::default() });
    let mut lanes = Lanes::new(door.clone(), NodeName::new("n1").unwrap());
    lanes.push(Job::Started(AttemptId(1)), 1);
    lanes.push(progress(1, 10), 1);
    lanes.push(Job::Ended(AttemptId(1), Box::new(Report::Cancelled)), 1);
    for percent in 0..3 {
        lanes.push(progress(2, percent), 1);
    }
    for _ in 0..3 {
        assert_eq!(lanes.next().await.unwrap().unwrap(), Stored::Quietly);
    }
    door.gate.add_permits(1);
    let mut last = None;
    while let Some(done) = lanes.next().await {
        last = Some(done.unwrap());
    }
    assert_eq!(last, Some(Stored::Result(AttemptId(1))));
    let seen = door.seen.lock().unwrap().join(", ");
    assert_eq!(seen, "a-2 0%, a-2 1%, a-2 2%, a-1 started, a-1 10%, a-1 ended");
    assert!(lanes.queued.is_empty() && lanes.ready.is_empty() && lanes.count == 0 && lanes.bytes == 0);
}

#[tokio::test]
async fn what_waits_is_bounded_in_number_and_size() {
    let door = Arc::new(Door { gate: Semaphore::new(0), seen: Mutex::default() });
    let mut lanes = Lanes::new(door.clone(), NodeName::new("n1").unwrap());
    lanes.push(progress(2, 1), WAITING_BYTES);
    assert!(lanes.is_full());
    assert!(lanes.next().await.is_some());
    for attempt in 0..u64::try_from(WAITING).unwrap() {
        assert!(!lanes.is_full());
        lanes.push(progress(attempt, 1), 1);
    }
    assert!(lanes.is_full());
    assert_eq!(lanes.running.len(), STORING);
    while lanes.next().await.is_some() {}
    assert_eq!(door.seen.lock().unwrap().len(), WAITING + 1);
}
