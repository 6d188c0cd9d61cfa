//! TLS 1.3 as the engine: its own identity, and client certificates of its own CA, which are asked for and not demanded. Which
//! call needs one is decided in `access`.

use std::{sync::Arc, time::Duration};

use rebar_ports::{Authority, AuthorityError, Clock};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    time_provider::TimeProvider,
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
    /// The CA cannot be used to verify agents.
    #[error("the engine's CA: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// The engine's clock decides whether a certificate is valid, as it decides everything else.
struct EngineTime(Arc<dyn Clock>);

impl std::fmt::Debug for EngineTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EngineTime")
    }
}

impl TimeProvider for EngineTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// A fresh identity, ready to accept connections with.
pub(crate) fn server(
    authority: &dyn Authority,
    clock: &Arc<dyn Clock>,
    sans: &[String],
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let identity = authority.server_identity(sans, clock.now())?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.ca_pem().as_bytes())?)?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).allow_unauthenticated().build()?;
    let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())?;
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(EngineTime(clock.clone())))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would skip the look at whether the client's certificate has run out.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
