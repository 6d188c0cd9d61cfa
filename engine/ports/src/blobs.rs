//! The port to immutable content by digest: packages and the archives of roles.

use async_trait::async_trait;
use rebar_model::Digest;

use crate::StoreError;

/// Immutable content by digest.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Keeps some bytes. Putting the same twice is harmless.
    async fn put(&self, digest: Digest, bytes: &[u8]) -> Result<(), StoreError>;

    /// The bytes, if they are kept.
    async fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError>;
}
