//! The store as one process reaches it: slow, away at times, with answers that get lost. What is stored is the ports' own double;
//! every commit is looked at by the audit.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use rebar_model::{Attempt, AttemptId, Digest, Epoch, Record, Revision, SecretRef, Seq, Span, World};
use rebar_ports::{
    AttemptQuery, Blobs, Claim, HistoryQuery, Ledger, LogChunk, Logs, RevisionQuery, Store, StoreError, Vault,
    memory::Memory,
};

use crate::{
    audit::Audit,
    chance::Chance,
    gate::{Gate, Pulse},
};

/// What all processes share.
#[derive(Clone, Default)]
pub(crate) struct Database {
    pub(crate) memory: Arc<Memory>,
    /// Nobody reaches it.
    pub(crate) away: Arc<AtomicBool>,
}

/// The store as one process reaches it.
#[derive(Clone)]
pub(crate) struct SimStore {
    pub(crate) database: Database,
    pub(crate) audit: Audit,
    pub(crate) chance: Chance,
    pub(crate) gate: Gate,
}

fn failed(why: &'static str) -> StoreError {
    StoreError::Unavailable(why.into())
}

impl SimStore {
    /// The way there. What a process sent before it died may still arrive.
    async fn there(&self) -> Result<(), StoreError> {
        self.gate.pass().await;
        self.chance.pause(0..15).await;
        if self.gate.pulse() == Pulse::Dead && self.chance.hits(1, 2) {
            std::future::pending::<()>().await;
        }
        let away = self.database.away.load(Ordering::Relaxed);
        if away || self.chance.hits(self.chance.faults().store, 2_000) {
            return Err(failed("simulated: it cannot be reached"));
        }
        Ok(())
    }

    /// The way back, on which answers get lost.
    async fn back<T>(&self, answer: T) -> Result<T, StoreError> {
        let lost = self.chance.hits(self.chance.faults().store, 2_000);
        self.chance.pause(0..5).await;
        self.gate.pass().await;
        if lost { Err(failed("simulated: the answer was lost")) } else { Ok(answer) }
    }

    /// What was given up may still be on its way, and arrive when nobody expects it any more.
    async fn arrive_late(self, epoch: Epoch, records: Vec<Record>) {
        self.chance.pause(1..3_000).await;
        if self.database.memory.commit(epoch, &records).await.is_ok() {
            self.audit.committed(&records);
        }
    }

    async fn reach<T>(&self, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.there().await?;
        let answer = asked.await?;
        self.back(answer).await
    }
}

#[async_trait]
impl Store for SimStore {
    async fn lead(&self, holder: &str, now: Timestamp, ttl: Span) -> Result<Option<Epoch>, StoreError> {
        self.reach(self.database.memory.lead(holder, now, ttl)).await
    }

    async fn resign(&self, holder: &str) -> Result<(), StoreError> {
        self.reach(self.database.memory.resign(holder)).await
    }

    async fn load(&self) -> Result<World, StoreError> {
        self.reach(self.database.memory.load()).await
    }

    async fn commit(&self, epoch: Epoch, records: &[Record]) -> Result<(), StoreError> {
        if let Err(error) = self.there().await {
            if self.chance.hits(1, 2) {
                tokio::spawn(self.clone().arrive_late(epoch, records.to_vec()));
            }
            return Err(error);
        }
        self.database.memory.commit(epoch, records).await?;
        self.audit.committed(records);
        if self.chance.hits(self.chance.faults().store, 2_000) {
            // Between the commit and everything that follows from it.
            self.gate.set(Pulse::Dead);
        }
        self.back(()).await
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<Record>, StoreError> {
        self.reach(self.database.memory.history(query)).await
    }

    async fn revisions(&self, query: RevisionQuery) -> Result<Vec<(Seq, Revision)>, StoreError> {
        self.reach(self.database.memory.revisions(query)).await
    }

    async fn attempts(&self, query: AttemptQuery) -> Result<Vec<Attempt>, StoreError> {
        self.reach(self.database.memory.attempts(query)).await
    }

    async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        self.reach(self.database.memory.attempt(id)).await
    }
}

#[async_trait]
impl Logs for SimStore {
    async fn append(&self, chunks: &[LogChunk]) -> Result<(), StoreError> {
        self.reach(self.database.memory.append(chunks)).await
    }

    async fn read(&self, attempt: AttemptId, offset: u64, limit: u32) -> Result<Vec<LogChunk>, StoreError> {
        self.reach(self.database.memory.read(attempt, offset, limit)).await
    }

    async fn end(&self, attempt: AttemptId) -> Result<u64, StoreError> {
        self.reach(self.database.memory.end(attempt)).await
    }
}

#[async_trait]
impl Blobs for SimStore {
    async fn put(&self, digest: Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.reach(Blobs::put(&*self.database.memory, digest, bytes)).await
    }

    async fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.reach(Blobs::get(&*self.database.memory, digest)).await
    }
}

#[async_trait]
impl Vault for SimStore {
    async fn seal(&self, value: &[u8]) -> Result<SecretRef, StoreError> {
        self.reach(self.database.memory.seal(value)).await
    }

    async fn open(&self, reference: &SecretRef) -> Result<Option<Vec<u8>>, StoreError> {
        self.reach(self.database.memory.open(reference)).await
    }

    async fn put(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.reach(Vault::put(&*self.database.memory, name, value)).await
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.reach(Vault::get(&*self.database.memory, name)).await
    }

    async fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.reach(self.database.memory.remove(name)).await
    }
}

#[async_trait]
impl Ledger for SimStore {
    async fn claim(&self, claim: &Claim) -> Result<bool, StoreError> {
        self.reach(self.database.memory.claim(claim)).await
    }

    async fn release(&self, owner: &str) -> Result<(), StoreError> {
        self.reach(self.database.memory.release(owner)).await
    }

    async fn claims(&self) -> Result<Vec<Claim>, StoreError> {
        self.reach(self.database.memory.claims()).await
    }
}
