//! Everything outside of the engine, played: time, chance, certificates, machines, an agent.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rebar_model::{
    Attempt, AttemptId, BuiltinAction, Digest, Epoch, NodeName, ProviderKind, Record, Resource, Revision, Seq, Span,
    World,
};
use rebar_orchestrator::Listing;
use rebar_ports::{
    AgentCommand, AgentGone, AgentSession, AttemptQuery, Authority, AuthorityError, Blobs, Clock, ENGINE_NAME, Entropy,
    HistoryQuery, Identity, Machine, MachineRequest, Observed, Provider, ProviderError, RevisionQuery, Service,
    ServiceError, Store, StoreError, memory::Memory,
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::fixture::PATIENCE;

/// A clock that moves when a test says so.
pub struct FakeClock(watch::Sender<Timestamp>);

impl FakeClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new("2026-05-01T12:00:00Z".parse().unwrap())))
    }

    pub fn advance(&self, seconds: u64) {
        self.0.send_modify(|now| *now = Span::from_secs(seconds).after(*now));
    }
}

#[async_trait]
impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn sleep_until(&self, at: Timestamp) {
        _ = self.0.subscribe().wait_for(|now| *now >= at).await;
    }
}

/// Bytes that are different every time.
#[derive(Default)]
pub struct Dice(AtomicU8);

impl Entropy for Dice {
    fn bytes(&self) -> [u8; 32] {
        [self.0.fetch_add(1, Ordering::Relaxed); 32]
    }
}

/// An authority for one test.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }
}

impl Authority for Ca {
    fn ca_pem(&self) -> &str {
        &self.pem
    }

    fn ca_fingerprint(&self) -> &'static str {
        "0123"
    }

    fn server_identity(&self, sans: &[String], _: Timestamp) -> Result<Identity, AuthorityError> {
        let mut names = vec![ENGINE_NAME.to_owned()];
        names.extend_from_slice(sans);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        Ok(Identity { chain_pem: format!("{}{}", leaf.pem(), self.pem), key_pem: key.serialize_pem() })
    }

    fn sign_agent(&self, _: &str, _: &NodeName, _: Timestamp) -> Result<String, AuthorityError> {
        Err(AuthorityError::Failed("no agents here".to_owned()))
    }
}

/// A provider that only says what it would do.
pub struct Paper;

#[async_trait]
impl Provider for Paper {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Join
    }

    async fn create(&self, request: &MachineRequest) -> Result<Machine, ProviderError> {
        if let Some(option) = request.options.keys().next() {
            return Err(ProviderError::BadOption { option: option.clone(), detail: "there are none".to_owned() });
        }
        Ok(Machine { id: None, instruction: Some(format!("join {}", request.ticket.engine)) })
    }

    async fn destroy(&self, _: &NodeName) -> Result<(), ProviderError> {
        Ok(())
    }
}

/// A service that waits for ever.
pub struct Slow;

#[async_trait]
impl Service for Slow {
    fn actions(&self) -> &'static [BuiltinAction] {
        &[BuiltinAction::DnsRecord]
    }

    async fn reconcile(&self, desired: &[Resource]) -> Result<Observed, ServiceError> {
        let pending = desired.iter().map(|it| (it.id(), "nobody answers".to_owned())).collect();
        Ok(Observed { pending, ..Observed::default() })
    }

    async fn changed(&self) {
        std::future::pending::<()>().await;
    }
}

#[async_trait]
impl Listing for Slow {
    async fn list(&self) -> Value {
        json!({"zones": []})
    }
}

/// The engine's side of the session of a played agent.
pub struct Session(pub mpsc::UnboundedSender<AgentCommand>);

impl AgentSession for Session {
    fn send(&self, command: AgentCommand) -> Result<(), AgentGone> {
        self.0.send(command).map_err(|_| AgentGone)
    }
}

/// Something in a port that a test can shut: who comes waits in front of it, and is counted.
#[derive(Default)]
pub struct Gate {
    shut: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Gate {
    pub fn shut(&self) {
        self.shut.send_replace(true);
    }

    pub fn open(&self) {
        self.shut.send_replace(false);
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        *self.waiting.borrow()
    }

    /// Resolves when so many wait.
    pub async fn wait_for(&self, count: usize) {
        let mut waiting = self.waiting.subscribe();
        let enough = timeout(PATIENCE, waiting.wait_for(|it| *it >= count)).await;
        assert!(enough.is_ok(), "{} of {count} came", self.waiting());
    }

    async fn pass(&self) {
        self.waiting.send_modify(|it| *it += 1);
        _ = self.shut.subscribe().wait_for(|it| !it).await;
        self.waiting.send_modify(|it| *it -= 1);
    }
}

/// A memory of contents that takes one in when its gate is open.
pub struct Shelf {
    pub memory: Arc<Memory>,
    pub gate: Arc<Gate>,
}

#[async_trait]
impl Blobs for Shelf {
    async fn put(&self, digest: Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.gate.pass().await;
        Blobs::put(&*self.memory, digest, bytes).await
    }

    async fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Blobs::get(&*self.memory, digest).await
    }
}

/// A memory whose lease lasts however far a test moves the clock, and that finds an attempt when its gate is open.
pub struct Undisputed {
    pub memory: Arc<Memory>,
    pub gate: Arc<Gate>,
}

#[async_trait]
impl Store for Undisputed {
    async fn lead(&self, holder: &str, now: Timestamp, _: Span) -> Result<Option<Epoch>, StoreError> {
        self.memory.lead(holder, now, Span::from_secs(1 << 30)).await
    }

    async fn resign(&self, holder: &str) -> Result<(), StoreError> {
        self.memory.resign(holder).await
    }

    async fn load(&self) -> Result<World, StoreError> {
        self.memory.load().await
    }

    async fn commit(&self, epoch: Epoch, records: &[Record]) -> Result<(), StoreError> {
        self.memory.commit(epoch, records).await
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<Record>, StoreError> {
        self.memory.history(query).await
    }

    async fn revisions(&self, query: RevisionQuery) -> Result<Vec<(Seq, Revision)>, StoreError> {
        self.memory.revisions(query).await
    }

    async fn attempts(&self, query: AttemptQuery) -> Result<Vec<Attempt>, StoreError> {
        self.memory.attempts(query).await
    }

    async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        self.gate.pass().await;
        self.memory.attempt(id).await
    }
}
