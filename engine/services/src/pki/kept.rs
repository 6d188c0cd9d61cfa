//! What the PKI keeps in the vault, and under which names. One index lists what there is, because a vault cannot be listed; it is
//! written before what it lists, so that after a crash nothing is kept that nobody knows of.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rebar_ports::{StoreError, Vault};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Where the index is kept.
const INDEX: &str = "pki/index";

/// The owners of everything that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(crate) authorities: BTreeSet<String>,
    pub(crate) certificates: BTreeSet<String>,
}

/// An authority. Deliberately without `Debug`: it holds the key.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeptAuthority {
    pub(crate) common_name: String,
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
    pub(crate) revoked: Vec<Revoked>,
}

/// A certificate that was revoked and has not ended yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revoked {
    pub(crate) serial: String,
    pub(crate) at: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptCertificate {
    /// The hash of the request and of everything that went into the certificate.
    pub(crate) request: String,
    /// The fingerprint of its authority.
    pub(crate) authority: String,
    pub(crate) common_name: String,
    pub(crate) cert_pem: String,
    pub(crate) serial: String,
    pub(crate) not_after: Timestamp,
}

/// Where the authority or certificate of a resource is kept.
pub(crate) fn place(owner: &str) -> String {
    format!("pki/{owner}")
}

/// Reads the index; an empty one if there is none.
pub(crate) async fn read_index(vault: &dyn Vault) -> Result<Index, StoreError> {
    Ok(read(vault, INDEX).await?.unwrap_or_default())
}

/// Writes the index.
pub(crate) async fn write_index(vault: &dyn Vault, index: &Index) -> Result<(), StoreError> {
    write(vault, INDEX, index).await
}

/// Reads what is kept under a name.
pub(crate) async fn read<T: DeserializeOwned>(vault: &dyn Vault, name: &str) -> Result<Option<T>, StoreError> {
    let Some(bytes) = vault.get(name).await? else {
        return Ok(None);
    };
    // The parser's own words might quote what it was given, which may hold a key.
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|_| StoreError::Corrupt { what: "sealed value", detail: format!("`{name}` has another form") })
}

/// Keeps a value under a name.
pub(crate) async fn write<T: Serialize>(vault: &dyn Vault, name: &str, value: &T) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(value)
        .map_err(|_| StoreError::Corrupt { what: "sealed value", detail: format!("`{name}` cannot be written") })?;
    vault.put(name, &bytes).await
}
