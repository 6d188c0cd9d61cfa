//! Who this machine is: a key made here, the engine's certificate for it, the engine's CA and address, in one private file so that
//! a renewal replaces all of it or nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};

use crate::{
    disk::{durable, layout::State},
    error::Error,
};

/// Who this machine is.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    /// The addresses of the engines, `host:port`, with commas between them: one of them leads.
    pub engine: String,
    /// The name that the engine gave this machine.
    pub node: String,
    /// The private key; it has never left this machine.
    pub key_pem: String,
    /// The engine's certificate for the key.
    pub certificate_pem: String,
    /// The engine's CA.
    pub ca_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("engine", &self.engine)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads the identity, if this machine has one.
    pub fn load(state: &State) -> Result<Option<Self>, Error> {
        let path = state.identity();
        let Some(bytes) = durable::read(&path)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::Broken { path, reason: error.to_string() })
    }

    /// Writes the identity.
    pub fn save(&self, state: &State) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| Error::Certificate(error.to_string()))?;
        durable::write(&state.identity(), &text)
    }

    /// When to ask for a fresh certificate: after two thirds of its life.
    pub fn renew_at(&self) -> Result<SystemTime, Error> {
        let der = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()).map_err(certificate)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(certificate)?;
        let validity = parsed.validity();
        let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let at = u64::try_from(from + (to - from) * 2 / 3).unwrap_or(0);
        Ok(UNIX_EPOCH + Duration::from_secs(at))
    }
}

/// A new key and a request to certify it.
pub fn request() -> Result<(String, String), Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(certificate)?;
    // The engine writes the name; one in the request would not be trusted.
    let params = CertificateParams::new(Vec::<String>::new()).map_err(certificate)?;
    let csr = params.serialize_request(&key).and_then(|request| request.pem()).map_err(certificate)?;
    Ok((key.serialize_pem(), csr))
}

/// The SHA-256 of a certificate, in hexadecimal: what people compare.
pub fn fingerprint(der: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, der))
}

/// Any error that is about a key or a certificate.
pub(crate) fn certificate(error: impl std::fmt::Display) -> Error {
    Error::Certificate(error.to_string())
}
