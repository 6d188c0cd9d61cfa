//! Sealed values. How they are sealed is in `seal.rs`; here is where they are kept.

use async_trait::async_trait;
use rebar_model::SecretRef;
use rebar_ports::{StoreError, Vault};

use crate::{SqlStore, json::corrupt};

/// A reference stands for one value, so what is there stays.
const KEEP: &str = "INSERT INTO sealed (name, bytes) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
const REPLACE: &str = "INSERT INTO sealed (name, bytes) VALUES ($1, $2) \
    ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes";
const GET: &str = "SELECT bytes FROM sealed WHERE name = $1";
const REMOVE: &str = "DELETE FROM sealed WHERE name = $1";

/// Sealed when a database is first opened, and opened ever after: a wrong key is noticed at once.
pub(crate) const PROBE: &str = "probe";

#[async_trait]
impl Vault for SqlStore {
    async fn seal(&self, value: &[u8]) -> Result<SecretRef, StoreError> {
        let reference = SecretRef(self.sealer.reference(value));
        self.keep(KEEP, by_reference(&reference), value).await?;
        Ok(reference)
    }

    async fn open(&self, reference: &SecretRef) -> Result<Option<Vec<u8>>, StoreError> {
        self.unseal(by_reference(reference)).await
    }

    async fn put(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.keep(REPLACE, by_name(name), value).await
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.unseal(by_name(name)).await
    }

    async fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.database.write(REMOVE, vec![by_name(name).into()]).await?;
        Ok(())
    }
}

impl SqlStore {
    /// Makes sure that the key is the one that this database is sealed with.
    pub(crate) async fn check_key(&self) -> Result<(), StoreError> {
        if self.unseal(PROBE.to_owned()).await?.is_none() {
            self.keep(KEEP, PROBE.to_owned(), b"").await?;
            // Another engine may have been first, with another key.
            self.unseal(PROBE.to_owned()).await?;
        }
        Ok(())
    }

    async fn keep(&self, sql: &'static str, name: String, value: &[u8]) -> Result<(), StoreError> {
        let sealed = self.sealer.seal(&name, value).ok_or_else(|| corrupt("sealed value", &"it is too long"))?;
        self.database.write(sql, vec![name.into(), sealed.into()]).await?;
        Ok(())
    }

    pub(crate) async fn unseal(&self, name: String) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.database.read(GET, vec![name.as_str().into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let value = self.sealer.open(&name, &row.bytes(0)?).map_err(|_| {
            corrupt("sealed value", &format!("`{name}` does not open: it was sealed with another key, or was altered"))
        })?;
        Ok(Some(value))
    }
}

fn by_reference(reference: &SecretRef) -> String {
    format!("ref/{reference}")
}

fn by_name(name: &str) -> String {
    format!("name/{name}")
}
