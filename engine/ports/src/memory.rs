//! In-memory doubles of the ports to what is remembered, for tests, the simulation and rehearsals. They pass the same conformance
//! suite as the databases; nothing here survives the process.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;
use rebar_model::{Attempt, AttemptId, Change, Digest, Epoch, Record, Revision, SecretRef, Seq, Span, World};

use crate::{
    AttemptQuery, Blobs, Claim, HistoryQuery, Ledger, LogChunk, Logs, RevisionQuery, Store, StoreError, Vault,
};

/// Everything that an engine remembers, in memory.
#[derive(Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    epoch: Epoch,
    lease: Option<(String, Timestamp)>,
    records: Vec<Record>,
    attempts: BTreeMap<AttemptId, Attempt>,
    logs: BTreeMap<(AttemptId, u64), LogChunk>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    sealed: BTreeMap<String, Vec<u8>>,
    claims: Vec<Claim>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Memory {
    async fn lead(&self, holder: &str, now: Timestamp, ttl: Span) -> Result<Option<Epoch>, StoreError> {
        let mut state = self.lock();
        let free = match &state.lease {
            Some((who, _)) if who == holder => false,
            Some((_, until)) if *until > now => return Ok(None),
            _ => true,
        };
        if free {
            state.epoch = Epoch(state.epoch.0 + 1);
        }
        state.lease = Some((holder.to_owned(), ttl.after(now)));
        Ok(Some(state.epoch))
    }

    async fn resign(&self, holder: &str) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.lease.as_ref().is_some_and(|(who, _)| who == holder) {
            state.lease = None;
        }
        Ok(())
    }

    async fn load(&self) -> Result<World, StoreError> {
        let state = self.lock();
        let mut world = World::default();
        for record in &state.records {
            world.apply_record(record).map_err(|it| StoreError::Corrupt { what: "history", detail: it.to_string() })?;
        }
        Ok(world)
    }

    async fn commit(&self, epoch: Epoch, records: &[Record]) -> Result<(), StoreError> {
        let mut state = self.lock();
        if epoch < state.epoch {
            return Err(StoreError::Fenced { given: epoch, current: state.epoch });
        }
        let mut last = state.records.last().map_or(Seq(0), |it| it.seq);
        for record in records {
            if record.seq != last.next() {
                return Err(StoreError::Gap { last, given: record.seq });
            }
            last = record.seq;
        }
        for record in records {
            if let Change::AttemptPut { attempt } = &record.change {
                state.attempts.insert(attempt.id, (**attempt).clone());
            }
        }
        state.records.extend_from_slice(records);
        Ok(())
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<Record>, StoreError> {
        let state = self.lock();
        let wanted = |it: &&Record| {
            it.seq > query.after && query.deployment.as_ref().is_none_or(|name| it.change.deployment() == Some(name))
        };
        Ok(state.records.iter().filter(wanted).take(query.limit as usize).cloned().collect())
    }

    async fn revisions(&self, query: RevisionQuery) -> Result<Vec<(Seq, Revision)>, StoreError> {
        let state = self.lock();
        let before = query.before.unwrap_or(Seq(u64::MAX));
        let accepted = state.records.iter().rev().filter(|it| it.seq < before).filter_map(|it| match &it.change {
            Change::RevisionAccepted { revision } => Some((it.seq, revision)),
            _ => None,
        });
        let wanted = accepted
            .filter(|(_, it)| it.deployment == query.deployment && query.no.is_none_or(|no| it.no == no))
            .map(|(seq, it)| (seq, (**it).clone()));
        Ok(wanted.take(query.limit as usize).collect())
    }

    async fn attempts(&self, query: AttemptQuery) -> Result<Vec<Attempt>, StoreError> {
        let state = self.lock();
        let wanted = |it: &&Attempt| {
            query.node_role.as_ref().is_none_or(|id| &it.node_role == id)
                && query.deployment.as_ref().is_none_or(|name| &it.node_role.deployment == name)
                && query.before.is_none_or(|id| it.id < id)
        };
        Ok(state.attempts.values().rev().filter(wanted).take(query.limit as usize).cloned().collect())
    }

    async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        Ok(self.lock().attempts.get(&id).cloned())
    }
}

#[async_trait]
impl Logs for Memory {
    async fn append(&self, chunks: &[LogChunk]) -> Result<(), StoreError> {
        let mut state = self.lock();
        for chunk in chunks {
            state.logs.entry((chunk.attempt, chunk.offset)).or_insert_with(|| chunk.clone());
        }
        Ok(())
    }

    async fn read(&self, attempt: AttemptId, offset: u64, limit: u32) -> Result<Vec<LogChunk>, StoreError> {
        let state = self.lock();
        let range = (attempt, offset)..=(attempt, u64::MAX);
        Ok(state.logs.range(range).take(limit as usize).map(|(_, it)| it.clone()).collect())
    }

    async fn end(&self, attempt: AttemptId) -> Result<u64, StoreError> {
        let state = self.lock();
        let last = state.logs.range((attempt, 0)..=(attempt, u64::MAX)).next_back();
        Ok(last.map_or(0, |(_, it)| it.offset + it.bytes))
    }
}

#[async_trait]
impl Blobs for Memory {
    async fn put(&self, digest: Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.lock().blobs.insert(digest, bytes.to_vec());
        Ok(())
    }

    async fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().blobs.get(&digest).cloned())
    }
}

#[async_trait]
impl Vault for Memory {
    async fn seal(&self, value: &[u8]) -> Result<SecretRef, StoreError> {
        let reference = SecretRef(Digest::of(value).to_string());
        self.lock().sealed.insert(format!("ref/{reference}"), value.to_vec());
        Ok(reference)
    }

    async fn open(&self, reference: &SecretRef) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().sealed.get(&format!("ref/{reference}")).cloned())
    }

    async fn put(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.lock().sealed.insert(format!("name/{name}"), value.to_vec());
        Ok(())
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().sealed.get(&format!("name/{name}")).cloned())
    }

    async fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.lock().sealed.remove(&format!("name/{name}"));
        Ok(())
    }
}

#[async_trait]
impl Ledger for Memory {
    async fn claim(&self, claim: &Claim) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let held = state.claims.iter().find(|it| it.pool == claim.pool && it.address == claim.address);
        if let Some(held) = held {
            return Ok(held.owner == claim.owner);
        }
        state.claims.push(claim.clone());
        state.claims.sort();
        Ok(true)
    }

    async fn release(&self, owner: &str) -> Result<(), StoreError> {
        self.lock().claims.retain(|it| it.owner != owner);
        Ok(())
    }

    async fn claims(&self) -> Result<Vec<Claim>, StoreError> {
        Ok(self.lock().claims.clone())
    }
}
