//! Immutable content by digest.

use async_trait::async_trait;
use rebar_model::Digest;
use rebar_ports::{Blobs, StoreError};

use crate::SqlStore;

const PUT: &str = "INSERT INTO blob (digest, bytes) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";
const GET: &str = "SELECT bytes FROM blob WHERE digest = $1";

#[async_trait]
impl Blobs for SqlStore {
    async fn put(&self, digest: Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.database.write(PUT, vec![digest.to_string().into(), bytes.to_vec().into()]).await?;
        Ok(())
    }

    async fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.database.read(GET, vec![digest.to_string().into()]).await?;
        rows.first().map(|row| row.bytes(0)).transpose()
    }
}
