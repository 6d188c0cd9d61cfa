//! The port to the engine's own certificate authority: who may speak to the engine, and how the engine shows itself. Authorities
//! of deployments are resources and live behind the `Service` port.

use async_trait::async_trait;
use jiff::Timestamp;
use rebar_model::NodeName;

use crate::StoreError;

/// The DNS name in the engine's certificate that agents and clients ask for, whatever address they dial.
pub const ENGINE_NAME: &str = "engine.rebar";

/// The engine's own certificate authority.
#[async_trait]
pub trait Authority: Send + Sync + 'static {
    /// The CA certificate in PEM.
    fn ca_pem(&self) -> &str;

    /// SHA-256 of the CA certificate (DER), in hexadecimal: what agents and clients pin.
    fn ca_fingerprint(&self) -> &str;

    /// A key and certificate for the engine's own listeners, valid for [`ENGINE_NAME`] and the given names and addresses.
    fn server_identity(&self, sans: &[String], now: Timestamp) -> Result<Identity, AuthorityError>;

    /// A certificate for an agent's key. Names in the request are not trusted: the node's name is the only one.
    fn sign_agent(&self, csr_pem: &str, node: &NodeName, now: Timestamp) -> Result<String, AuthorityError>;
}

/// A private key with its certificate chain, both in PEM. Deliberately without `Debug`.
#[derive(Clone)]
pub struct Identity {
    /// Leaf first, then the CA.
    pub chain_pem: String,
    /// The key (PKCS #8).
    pub key_pem: String,
}

/// What can go wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The request cannot be read or its signature is wrong.
    #[error("certificate request: {0}")]
    BadRequest(String),
    /// The certificate could not be made.
    #[error("certificate: {0}")]
    Failed(String),
    /// The CA could not be kept or read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
