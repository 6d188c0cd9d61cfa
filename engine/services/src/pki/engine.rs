//! The engine's own authority: who may speak to the engine, and how the engine shows itself. Made at the first start and kept in the
//! vault. Authorities of deployments live in `service.rs`.

use jiff::Timestamp;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rebar_model::{NodeName, Span};
use rebar_ports::{Authority, AuthorityError, ENGINE_NAME, Identity, Vault};
use serde::{Deserialize, Serialize};

use super::{
    ca::{CertificateAuthority, Subject, Usage, subject_names},
    kept,
    request::ProvenKey,
};

/// Where the engine's authority is kept.
const PLACE: &str = "engine/ca";
/// The domain of the names in agents' certificates.
const NODES: &str = "nodes.rebar";

/// How long certificates of the engine's authority live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityConfig {
    /// Those of agents. They renew theirs in time.
    pub agent_lifetime: Span,
    /// Those of the engine's listeners, made anew at every start.
    pub server_lifetime: Span,
}

impl Default for AuthorityConfig {
    fn default() -> Self {
        let day = 24 * 3_600;
        Self { agent_lifetime: Span::from_secs(7 * day), server_lifetime: Span::from_secs(365 * day) }
    }
}

/// The engine's own authority.
pub struct EngineAuthority {
    config: AuthorityConfig,
    ca: CertificateAuthority,
}

/// What is kept. Deliberately without `Debug`: it holds the key.
#[derive(Serialize, Deserialize)]
struct Kept {
    cert_pem: String,
    key_pem: String,
}

impl EngineAuthority {
    /// Opens the authority that is kept, or makes one.
    pub async fn start(config: AuthorityConfig, vault: &dyn Vault, now: Timestamp) -> Result<Self, AuthorityError> {
        if let Some(kept) = kept::read::<Kept>(vault, PLACE).await? {
            return Ok(Self { config, ca: CertificateAuthority::load(&kept.cert_pem, &kept.key_pem)? });
        }
        let ca = CertificateAuthority::create("Rebar engine CA", now)?;
        kept::write(vault, PLACE, &Kept { cert_pem: ca.cert_pem().to_owned(), key_pem: ca.key_pem() }).await?;
        tracing::info!(fingerprint = ca.fingerprint(), "engine authority made");
        Ok(Self { config, ca })
    }
}

impl Authority for EngineAuthority {
    fn ca_pem(&self) -> &str {
        self.ca.cert_pem()
    }

    fn ca_fingerprint(&self) -> &str {
        self.ca.fingerprint()
    }

    fn server_identity(&self, sans: &[String], now: Timestamp) -> Result<Identity, AuthorityError> {
        let mut names = vec![ENGINE_NAME.to_owned()];
        names.extend(sans.iter().filter(|san| *san != ENGINE_NAME).cloned());
        let subject = Subject {
            common_name: ENGINE_NAME,
            sans: subject_names(&names)?,
            usages: vec![Usage::Server],
            valid_for: self.config.server_lifetime,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(|error| AuthorityError::Failed(error.to_string()))?;
        let signed = self.ca.sign(&key, subject, b"engine", now)?;
        Ok(Identity { chain_pem: format!("{}{}", signed.pem, self.ca.cert_pem()), key_pem: key.serialize_pem() })
    }

    fn sign_agent(&self, csr_pem: &str, node: &NodeName, now: Timestamp) -> Result<String, AuthorityError> {
        let proven = ProvenKey::from_csr(csr_pem)?;
        let subject = Subject {
            common_name: node.as_str(),
            sans: subject_names(&[format!("{node}.{NODES}")])?,
            usages: vec![Usage::Client],
            valid_for: self.config.agent_lifetime,
        };
        let signed = self.ca.sign(&proven.key, subject, &proven.der, now)?;
        tracing::info!(%node, serial = signed.serial, not_after = %signed.not_after, "agent certificate signed");
        Ok(signed.pem)
    }
}
