//! A fake engine: notes what it is asked in order, and can be made to wait.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use rebar_model::{AttemptId, Digest, Epoch, Facts, NodeName, Phase, Report, UpgradeReport};
use rebar_ports::{AgentCommand, AgentDoor, AgentHello, AgentSession, DoorError, LogChunk, SessionId};
use tokio::sync::{Semaphore, watch};

pub const EPOCH: Epoch = Epoch(5);

/// The fake engine.
pub struct FakeDoor {
    /// What was asked, in order.
    calls: watch::Sender<Vec<String>>,
    /// The latest session of each node.
    sessions: Mutex<BTreeMap<NodeName, Arc<dyn AgentSession>>>,
    next: AtomicU64,
    /// Ends of attempt 1 are stored as this lets them through.
    pub gate: Semaphore,
    /// What is sent through a new session before `connected` returns.
    pub greeting: Mutex<Vec<AgentCommand>>,
    pub blobs: Mutex<BTreeMap<Digest, Vec<u8>>>,
}

impl FakeDoor {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            calls: watch::Sender::new(Vec::new()),
            sessions: Mutex::default(),
            next: AtomicU64::new(1),
            gate: Semaphore::new(0),
            greeting: Mutex::default(),
            blobs: Mutex::default(),
        })
    }

    fn note(&self, call: String) {
        self.calls.send_modify(|calls| calls.push(call));
    }

    pub fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    /// Waits until something was asked.
    pub async fn saw(&self, call: &str) {
        let mut calls = self.calls.subscribe();
        let seen = calls.wait_for(|calls| calls.iter().any(|it| it == call));
        let seen = tokio::time::timeout(std::time::Duration::from_secs(20), seen).await.map(|_| ());
        assert!(seen.is_ok(), "no `{call}` in {:?}", self.calls());
    }

    pub fn session(&self, node: &str) -> Arc<dyn AgentSession> {
        self.sessions.lock().unwrap()[&NodeName::new(node).unwrap()].clone()
    }

    /// What the engine does when a node is removed.
    pub fn let_go(&self, node: &str) {
        self.sessions.lock().unwrap().remove(&NodeName::new(node).unwrap());
    }
}

#[async_trait]
impl AgentDoor for FakeDoor {
    async fn enrol(&self, token: &str) -> Result<NodeName, DoorError> {
        self.note(format!("enrol {token}"));
        match token {
            "used" => Err(DoorError::UsedToken),
            "expired" => Err(DoorError::ExpiredToken),
            _ => token.strip_prefix("for-").and_then(|it| it.parse().ok()).ok_or(DoorError::UnknownToken),
        }
    }

    async fn connected(
        &self,
        node: &NodeName,
        hello: AgentHello,
        session: Arc<dyn AgentSession>,
    ) -> Result<(SessionId, Epoch), DoorError> {
        if node.as_str() == "removed" {
            return Err(DoorError::UnknownNode(node.clone()));
        }
        if hello.epoch > EPOCH {
            return Err(DoorError::Fenced { ours: EPOCH, theirs: hello.epoch });
        }
        self.note(format!("{node} connected"));
        for command in self.greeting.lock().unwrap().drain(..) {
            session.send(command).unwrap();
        }
        self.sessions.lock().unwrap().insert(node.clone(), session);
        Ok((SessionId(self.next.fetch_add(1, Ordering::SeqCst)), EPOCH))
    }

    async fn disconnected(&self, node: &NodeName, session: SessionId) -> Result<(), DoorError> {
        self.note(format!("{node} disconnected {}", session.0));
        Ok(())
    }

    async fn facts(&self, node: &NodeName, facts: Facts) -> Result<(), DoorError> {
        self.note(format!("{node} facts {}", facts.hostname));
        Ok(())
    }

    async fn started(&self, node: &NodeName, attempt: AttemptId) -> Result<(), DoorError> {
        self.note(format!("{node} started {attempt}"));
        Ok(())
    }

    async fn progress(
        &self,
        node: &NodeName,
        attempt: AttemptId,
        _: Option<Phase>,
        percent: u32,
        _: String,
    ) -> Result<(), DoorError> {
        self.note(format!("{node} progress {attempt} {percent}"));
        Ok(())
    }

    async fn ended(&self, node: &NodeName, attempt: AttemptId, _: Report) -> Result<(), DoorError> {
        if attempt == AttemptId(1) {
            self.note(format!("{node} storing {attempt}"));
            self.gate.acquire().await.unwrap().forget();
        }
        self.note(format!("{node} ended {attempt}"));
        Ok(())
    }

    async fn upgrade_failed(&self, node: &NodeName, report: UpgradeReport) -> Result<(), DoorError> {
        self.note(format!("{node} upgrade {} {}", report.upgrade, report.failure));
        Ok(())
    }

    async fn log(&self, node: &NodeName, chunk: LogChunk) -> Result<u64, DoorError> {
        self.note(format!("{node} log {} {} {}", chunk.attempt, chunk.offset, chunk.text));
        Ok(chunk.offset + chunk.bytes)
    }

    async fn content(&self, digest: Digest) -> Result<Option<Vec<u8>>, DoorError> {
        Ok(self.blobs.lock().unwrap().get(&digest).cloned())
    }
}
