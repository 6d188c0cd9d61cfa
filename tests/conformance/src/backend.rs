//! What the suite runs against: memory, SQLite files, and a PostgreSQL server. Opening the same name twice opens the same data.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use async_trait::async_trait;
use rebar_ports::{Blobs, Ledger, Logs, Store, Vault, memory::Memory};
use rebar_store_sql::{SealKey, SqlStore};

use crate::postgres::Server;

/// The key of all databases of the suite.
pub const KEY: SealKey = SealKey::new([7; 32]);
/// A key that is none of theirs.
pub const OTHER_KEY: SealKey = SealKey::new([8; 32]);

/// The ports to one database.
#[derive(Clone)]
pub struct Ports {
    /// Changes and the World.
    pub store: Arc<dyn Store>,
    /// Logs of attempts.
    pub logs: Arc<dyn Logs>,
    /// Content by digest.
    pub blobs: Arc<dyn Blobs>,
    /// Sealed values.
    pub vault: Arc<dyn Vault>,
    /// Claimed addresses.
    pub ledger: Arc<dyn Ledger>,
}

impl Ports {
    /// The ports that one thing implements.
    pub fn of<T: Store + Logs + Blobs + Vault + Ledger>(it: &Arc<T>) -> Self {
        Self { store: it.clone(), logs: it.clone(), blobs: it.clone(), vault: it.clone(), ledger: it.clone() }
    }
}

/// A place with databases.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Opens a database, made when it is not there.
    async fn open(&self, database: &str) -> Result<Ports>;

    /// Opens a database that is there with a key that is not its own; none if the backend has no keys.
    async fn open_with_other_key(&self, database: &str) -> Option<Result<Ports>>;

    /// Where a database is; none if the backend has nothing that lasts.
    fn address(&self, database: &str) -> Option<Result<String>>;
}

/// Databases in memory.
#[derive(Default)]
pub struct InMemory {
    databases: Mutex<BTreeMap<String, Arc<Memory>>>,
}

#[async_trait]
impl Backend for InMemory {
    async fn open(&self, database: &str) -> Result<Ports> {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Ports::of(databases.entry(database.to_owned()).or_default()))
    }

    async fn open_with_other_key(&self, _: &str) -> Option<Result<Ports>> {
        None
    }

    fn address(&self, _: &str) -> Option<Result<String>> {
        None
    }
}

/// SQLite files in a directory.
pub struct Files {
    /// The directory.
    pub directory: PathBuf,
}

impl Files {
    async fn open_with(&self, database: &str, key: SealKey) -> Result<Ports> {
        Ok(Ports::of(&Arc::new(SqlStore::open(&self.path(database), key).await?)))
    }

    fn path(&self, database: &str) -> String {
        self.directory.join(format!("{database}.db")).display().to_string()
    }
}

#[async_trait]
impl Backend for Files {
    async fn open(&self, database: &str) -> Result<Ports> {
        self.open_with(database, KEY).await
    }

    async fn open_with_other_key(&self, database: &str) -> Option<Result<Ports>> {
        Some(self.open_with(database, OTHER_KEY).await)
    }

    fn address(&self, database: &str) -> Option<Result<String>> {
        Some(Ok(self.path(database)))
    }
}

/// Databases of a PostgreSQL server.
pub struct Served {
    /// The server.
    pub server: Arc<Server>,
}

#[async_trait]
impl Backend for Served {
    async fn open(&self, database: &str) -> Result<Ports> {
        let address = self.server.database(database)?;
        Ok(Ports::of(&Arc::new(SqlStore::open(&address, KEY).await?)))
    }

    async fn open_with_other_key(&self, database: &str) -> Option<Result<Ports>> {
        let open = async {
            let address = self.server.database(database)?;
            Ok(Ports::of(&Arc::new(SqlStore::open(&address, OTHER_KEY).await?)))
        };
        Some(open.await)
    }

    fn address(&self, database: &str) -> Option<Result<String>> {
        Some(self.server.database(database))
    }
}
