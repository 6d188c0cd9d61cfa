//! Whom the client trusts: the pinned CA and nobody else. At login the CA may be known by its fingerprint only; then it is taken
//! from the chain that the engine shows, if it is the one.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::failure::{Failure, Trouble};

/// What the verifier says when the CA is not in the chain; `trouble` looks for it.
const NOT_THE_ONE: &str = "the engine shows no CA with that fingerprint";

/// Whom the client trusts.
#[derive(Debug, Clone)]
pub enum Trust {
    /// A CA that is known, in PEM.
    Pem(String),
    /// A CA of which only the fingerprint is known.
    Pinned(Arc<Pinned>),
}

/// A CA of which only the fingerprint is known, and the CA once it was seen.
#[derive(Debug)]
pub struct Pinned {
    fingerprint: String,
    seen: Mutex<Option<Vec<u8>>>,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    /// Trusts the CA with a SHA-256 fingerprint: hexadecimal in any case, with or without colons.
    pub fn fingerprint(text: &str) -> Result<Self, Failure> {
        let fingerprint = normalise(text);
        if fingerprint.len() != 64 || !fingerprint.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err(Failure::new(Trouble::Argument, format!("`{text}` is not a SHA-256 fingerprint"))
                .fix("write its 64 hexadecimal digits, as `rebar serve` prints them"));
        }
        Ok(Self::Pinned(Arc::new(Pinned { fingerprint, seen: Mutex::new(None), provider: provider() })))
    }

    /// The CA in PEM, if it is known by now.
    pub fn ca_pem(&self) -> Option<String> {
        match self {
            Self::Pem(text) => Some(text.clone()),
            Self::Pinned(pinned) => {
                let seen = pinned.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.as_deref().map(to_pem)
            }
        }
    }

    pub(super) fn config(&self) -> Result<ClientConfig, Failure> {
        let trouble =
            |error: rustls::Error| Failure::new(Trouble::Untrusted, format!("the CA cannot be used: {error}"));
        let builder =
            ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(trouble)?;
        Ok(match self {
            Self::Pem(text) => {
                let ca = CertificateDer::from_pem_slice(text.as_bytes())
                    .map_err(|_| Failure::new(Trouble::Untrusted, "the CA is not a certificate in PEM"))?;
                let mut roots = RootCertStore::empty();
                roots.add(ca).map_err(trouble)?;
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            Self::Pinned(pinned) => {
                builder.dangerous().with_custom_certificate_verifier(pinned.clone()).with_no_client_auth()
            }
        })
    }
}

/// The SHA-256 fingerprint of the certificate in a PEM text.
pub fn ca_fingerprint(pem: &str) -> Option<String> {
    CertificateDer::from_pem_slice(pem.as_bytes()).ok().map(|it| sha256(&it))
}

/// What a TLS error means for people; none if the text is of another error.
pub(super) fn trouble(error: &str) -> Option<&'static str> {
    if error.contains(NOT_THE_ONE) {
        return Some("it shows no CA with the pinned fingerprint");
    }
    let is_certificate = error.contains("invalid peer certificate") || error.contains("certificate");
    is_certificate.then_some("its certificate is not of the pinned CA")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn normalise(text: &str) -> String {
    let text = text.trim().to_ascii_lowercase();
    text.strip_prefix("sha256:").unwrap_or(&text).chars().filter(|it| *it != ':').collect()
}

fn sha256(der: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, der))
}

fn to_pem(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(ca) = intermediates.iter().find(|it| sha256(it) == self.fingerprint) else {
            return Err(rustls::Error::General(NOT_THE_ONE.to_owned()));
        };
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), self.provider.clone())
            .build()
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let verified = verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(ca.to_vec());
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_however_people_write_them() {
        assert_eq!(normalise(" SHA256:AB:cd:01\n"), "abcd01");
        assert!(Trust::fingerprint("abcd").is_err());
        assert!(Trust::fingerprint(&"ab:".repeat(32)).is_ok());
    }
}
