//! TLS as the engine: its own identity, made fresh by its authority. Clients show no certificate here; they show a token.

use std::sync::Arc;

use jiff::Timestamp;
use rebar_ports::{Authority, AuthorityError};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// Why the door has no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The authority made no identity.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A certificate or key cannot be read.
    #[error("the engine's certificate or key is not PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// They do not work together.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// A fresh identity, ready to accept connections with.
pub(crate) fn server(
    authority: &dyn Authority,
    now: Timestamp,
    sans: &[String],
) -> Result<Arc<ServerConfig>, TlsError> {
    let identity = authority.server_identity(sans, now)?;
    let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
