//! SQLite and PostgreSQL behind the ports to what is remembered. This is the only crate that knows SQL; each table family has
//! a file of its own, and every statement runs on both databases unless `PerDialect` says otherwise. What changes mean is
//! decided in `rebar-model`; when they are committed, by the orchestrator. A backup is one file for both, read and written here too.

mod archive;
mod attempts;
mod backup;
mod backup_error;
mod batch;
mod blobs;
mod bulk;
mod change;
mod database;
mod json;
mod lease;
mod ledger;
mod logs;
mod open;
mod projection;
mod restore;
mod revisions;
mod schema;
mod seal;
mod tables;
mod vault;

use async_trait::async_trait;
use jiff::Timestamp;
use rebar_model::{Attempt, AttemptId, Epoch, Record, Revision, Seq, Span, World};
use rebar_ports::{AttemptQuery, HistoryQuery, RevisionQuery, Store, StoreError};

pub use archive::{BackupLabel, RowCounts};
pub use backup::{Backup, back_up, backed_up};
pub use backup_error::BackupError;
pub use restore::{Restored, Restoring, restore};
pub use seal::SealKey;

/// Everything that an engine remembers, in one database: store, logs, blobs, vault and ledger.
pub struct SqlStore {
    database: database::Database,
    sealer: seal::Sealer,
}

impl SqlStore {
    /// Opens `sqlite:///path/file.db`, a bare path, or `postgres://user@host/database`, makes or updates its tables, and makes
    /// sure that it is sealed with this key.
    pub async fn open(address: &str, key: SealKey) -> Result<Self, StoreError> {
        let store = Self { database: open::open(address).await?, sealer: seal::Sealer::new(&key) };
        store.check_key().await?;
        Ok(store)
    }

    /// Closes it after what it is doing. Dropping it loses nothing that was committed, but does not wait.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn lead(&self, holder: &str, now: Timestamp, ttl: Span) -> Result<Option<Epoch>, StoreError> {
        lease::lead(&self.database, holder, now, ttl).await
    }

    async fn resign(&self, holder: &str) -> Result<(), StoreError> {
        lease::resign(&self.database, holder).await
    }

    async fn load(&self) -> Result<World, StoreError> {
        projection::load(&self.database).await
    }

    async fn commit(&self, epoch: Epoch, records: &[Record]) -> Result<(), StoreError> {
        change::commit(&self.database, epoch, records).await
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<Record>, StoreError> {
        change::history(&self.database, query).await
    }

    async fn revisions(&self, query: RevisionQuery) -> Result<Vec<(Seq, Revision)>, StoreError> {
        revisions::page(&self.database, query).await
    }

    async fn attempts(&self, query: AttemptQuery) -> Result<Vec<Attempt>, StoreError> {
        attempts::page(&self.database, query).await
    }

    async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        attempts::one(&self.database, id).await
    }
}

impl std::fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlStore").finish_non_exhaustive()
    }
}
