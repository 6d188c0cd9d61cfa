//! The port to sealed values: secret outputs by reference, private keys by name. What is stored is encrypted; nothing here is ever
//! part of a change, an event or a log.

use async_trait::async_trait;
use rebar_model::SecretRef;

use crate::StoreError;

/// Sealed values.
#[async_trait]
pub trait Vault: Send + Sync + 'static {
    /// Seals a value. Equal values get equal references; the reference says nothing about the value to who has no key.
    async fn seal(&self, value: &[u8]) -> Result<SecretRef, StoreError>;

    /// Opens a reference; none if nothing is sealed under it.
    async fn open(&self, reference: &SecretRef) -> Result<Option<Vec<u8>>, StoreError>;

    /// Seals a value under a name, in place of what was there.
    async fn put(&self, name: &str, value: &[u8]) -> Result<(), StoreError>;

    /// Opens what is sealed under a name.
    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Forgets what is sealed under a name.
    async fn remove(&self, name: &str) -> Result<(), StoreError>;
}
