//! The limits between the engine's tasks, at each and past it: who comes too fast waits. Those of the owner are in `owner/tests.rs`.
//! The engine's outside is played here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use rebar_model::{
    Action, Actor, ApiToken, Attempt, AttemptId, Change, DeploymentSpec, Digest, Epoch, NodeRoleId, NodeRoleSpec, Plan,
    PlanStep, Record, Revision, RevisionNo, Seq, Span, Target, TokenHash, Wishes, World,
};
use rebar_ports::{
    AttemptQuery, Clock, Entropy, HistoryQuery, LogChunk, Logs, RevisionQuery, Store, StoreError, memory::Memory,
};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Ports, Standby,
    engine::Parts,
    limits::{FOLLOWED_AT_ONCE, MAX_LOG_QUEUE, MAX_REMEMBERED},
    log_writer::{self, LogPiece},
};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A memory that commits when it is let, and says how much it was given and asked for at once.
#[derive(Default)]
pub(crate) struct Kept {
    memory: Memory,
    shut: watch::Sender<bool>,
    /// The records of each commit.
    pub commits: watch::Sender<Vec<usize>>,
    /// The records of each look at history.
    reads: watch::Sender<Vec<usize>>,
    /// The pieces of logs that were written at once.
    appended: watch::Sender<Vec<usize>>,
}

impl Kept {
    pub fn shut(&self, shut: bool) {
        self.shut.send_replace(shut);
    }
}

#[async_trait]
impl Store for Kept {
    async fn lead(&self, holder: &str, now: Timestamp, ttl: Span) -> Result<Option<Epoch>, StoreError> {
        self.memory.lead(holder, now, ttl).await
    }

    async fn resign(&self, holder: &str) -> Result<(), StoreError> {
        self.memory.resign(holder).await
    }

    async fn load(&self) -> Result<World, StoreError> {
        self.memory.load().await
    }

    async fn commit(&self, epoch: Epoch, records: &[Record]) -> Result<(), StoreError> {
        self.commits.send_modify(|it| it.push(records.len()));
        _ = self.shut.subscribe().wait_for(|it| !it).await;
        self.memory.commit(epoch, records).await
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<Record>, StoreError> {
        let records = self.memory.history(query).await?;
        self.reads.send_modify(|it| it.push(records.len()));
        Ok(records)
    }

    async fn revisions(&self, query: RevisionQuery) -> Result<Vec<(Seq, Revision)>, StoreError> {
        self.memory.revisions(query).await
    }

    async fn attempts(&self, query: AttemptQuery) -> Result<Vec<Attempt>, StoreError> {
        self.memory.attempts(query).await
    }

    async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        self.memory.attempt(id).await
    }
}

#[async_trait]
impl Logs for Kept {
    async fn append(&self, chunks: &[LogChunk]) -> Result<(), StoreError> {
        self.appended.send_modify(|it| it.push(chunks.len()));
        self.memory.append(chunks).await
    }

    async fn read(&self, attempt: AttemptId, offset: u64, limit: u32) -> Result<Vec<LogChunk>, StoreError> {
        self.memory.read(attempt, offset, limit).await
    }

    async fn end(&self, attempt: AttemptId) -> Result<u64, StoreError> {
        self.memory.end(attempt).await
    }
}

/// Time that stands still, and chance that is none.
struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep_until(&self, _: Timestamp) {
        std::future::pending::<()>().await;
    }
}

impl Entropy for Still {
    fn bytes(&self) -> [u8; 32] {
        [0; 32]
    }
}

/// The outside of an engine.
pub(crate) fn ports(kept: &Arc<Kept>) -> Ports {
    let memory = Arc::new(Memory::default());
    Ports {
        store: kept.clone(),
        logs: kept.clone(),
        blobs: memory.clone(),
        vault: memory,
        clock: Arc::new(Still),
        entropy: Arc::new(Still),
        services: Vec::new(),
        listings: BTreeMap::new(),
        providers: BTreeMap::new(),
        advertise: "engine:8091".to_owned(),
        ca_fingerprint: "0123".to_owned(),
        release_keys: Vec::new(),
        holder: "test".to_owned(),
    }
}

/// A token like no other.
pub(crate) fn token(at: usize) -> ApiToken {
    let name = format!("t{at}");
    ApiToken { hash: TokenHash::of(&name), name, created_at: Timestamp::UNIX_EPOCH, expires_at: None }
}

/// Resolves when what is watched is so.
pub(crate) async fn until<T>(watched: &watch::Sender<T>, is: impl FnMut(&T) -> bool) {
    let mut watched = watched.subscribe();
    assert!(timeout(PATIENCE, watched.wait_for(is)).await.is_ok(), "it does not become so");
}

/// Whether something is still not done after all others had their turn, often.
pub(crate) async fn waits(it: &mut (impl Future + Unpin)) -> bool {
    for _ in 0..1_000 {
        tokio::select! {
            biased;
            _ = &mut *it => return false,
            () = tokio::task::yield_now() => {}
        }
    }
    true
}

#[tokio::test]
async fn so_many_pieces_of_logs_wait_to_be_written_and_then_who_sends_them() {
    let kept = Arc::new(Kept::default());
    let Parts { shared, pieces, .. } = Parts::make(ports(&kept)).await.unwrap();
    let logs = shared.intake().unwrap().logs.clone();
    let mut answers = Vec::new();
    let mut piece = |at: usize| {
        let (reply, answer) = oneshot::channel();
        answers.push(answer);
        let (attempt, offset, at) = (AttemptId(1), at as u64, Timestamp::UNIX_EPOCH);
        LogPiece {
            chunk: LogChunk { attempt, offset, phase: None, at, text: "x".to_owned(), bytes: 1, lost: 0 },
            reply,
        }
    };
    for at in 0..MAX_LOG_QUEUE {
        assert!(logs.try_send(piece(at)).is_ok(), "piece {at}");
    }
    let mut more = Box::pin(logs.send(piece(MAX_LOG_QUEUE)));
    assert!(waits(&mut more).await);
    let writer = tokio::spawn(log_writer::run(shared, pieces, CancellationToken::new()));
    assert!(more.await.is_ok());
    for (answer, end) in answers.into_iter().zip(1..) {
        assert_eq!(answer.await.unwrap().unwrap(), end);
    }
    assert_eq!(*kept.appended.borrow(), [MAX_LOG_QUEUE, 1]);
    writer.abort();
}

/// A plan of so many steps.
fn plan_of(steps: usize) -> Arc<Plan> {
    let id = NodeRoleId { deployment: "demo".parse().unwrap(), role: "a".parse().unwrap(), target: Target::Deployment };
    let digest = Digest::of(b"x");
    let spec = Arc::new(NodeRoleSpec {
        id,
        workload: digest,
        content: digest,
        agent: None,
        group: None,
        ordinal: 0,
        bindings: BTreeMap::new(),
        requires: Vec::new(),
        lock: None,
        leave_after: Vec::new(),
    });
    let step = PlanStep { spec, action: Action::Keep, differences: Vec::new(), undoes: false, depth: 0 };
    Arc::new(Plan {
        id: digest,
        deployment: "demo".parse().unwrap(),
        base: RevisionNo(1),
        wishes: Wishes {
            spec: DeploymentSpec { workload: digest, groups: BTreeMap::new(), profiles: Vec::new() },
            parameters: BTreeMap::new(),
        },
        leaders: BTreeMap::new(),
        steps: vec![step; steps],
        destructive: Vec::new(),
        protected: Vec::new(),
    })
}

#[tokio::test]
async fn a_plan_is_remembered_until_it_is_accepted_and_when_it_is_not_too_large() {
    let Parts { shared, .. } = Parts::make(ports(&Arc::default())).await.unwrap();
    let (id, other) = (Digest::of(b"x"), Digest::of(b"y"));
    shared.remember(plan_of(MAX_REMEMBERED), Seq(7));
    assert!(shared.take_proposed(other, Seq(7)).is_none(), "not this one");
    assert!(shared.take_proposed(id, Seq(7)).is_some());
    assert!(shared.take_proposed(id, Seq(7)).is_none(), "it is forgotten");
    shared.remember(plan_of(1), Seq(7));
    assert!(shared.take_proposed(id, Seq(8)).is_none(), "the World is another");
    shared.remember(plan_of(1), Seq(7));
    shared.remember(plan_of(MAX_REMEMBERED + 1), Seq(7));
    assert!(shared.take_proposed(id, Seq(7)).is_none(), "too large, and the one before is an old one");
}

#[tokio::test]
async fn a_standby_takes_over_so_many_changes_at_a_time() {
    for (behind, expected) in [(0, &[1_000, 0][..]), (1, &[1_000, 1, 0][..])] {
        let count = FOLLOWED_AT_ONCE as usize + behind;
        let kept = Arc::new(Kept::default());
        let standby = Standby::start(ports(&kept), None).await.unwrap();
        let epoch = kept.lead("another", Timestamp::UNIX_EPOCH, Span::from_secs(60)).await.unwrap().unwrap();
        let records = (1..).zip(0..count).map(|(seq, at)| {
            let (by, change) = (Actor::engine(), Change::ApiTokenPut { token: token(at) });
            Record { seq: Seq(seq), at: Timestamp::UNIX_EPOCH, by, change }
        });
        kept.commit(epoch, &records.collect::<Vec<_>>()).await.unwrap();
        let handle = standby.handle();
        let following = tokio::spawn(async move { standby.lead(&CancellationToken::new()).await });
        until(&kept.reads, |it| it.last() == Some(&0)).await;
        assert_eq!(*kept.reads.borrow(), expected);
        assert_eq!(handle.read(|world| world.api_tokens().len()), count);
        following.abort();
    }
}
