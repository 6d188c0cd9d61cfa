//! Trust at enrolment: the engine's CA is the one certificate of the presented chain that has the fingerprint that this machine was
//! given. Used for enrolment only; afterwards the CA itself is known.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rustls::{
    CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::door::identity::fingerprint;

/// Trusts the CA with this fingerprint and no other.
#[derive(Debug)]
pub struct PinnedCa {
    fingerprint: String,
    provider: Arc<CryptoProvider>,
    refused: AtomicBool,
}

impl PinnedCa {
    /// The fingerprint as people write it: hexadecimal in any case, with or without colons.
    pub fn new(fingerprint: &str, provider: Arc<CryptoProvider>) -> Self {
        Self { fingerprint: normalise(fingerprint), provider, refused: AtomicBool::new(false) }
    }

    /// Whether this certificate is the one.
    pub fn is(&self, der: &[u8]) -> bool {
        fingerprint(der) == self.fingerprint
    }

    /// Whether a chain without that CA has been presented.
    pub fn has_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }
}

fn normalise(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix("sha256:").or_else(|| text.strip_prefix("SHA256:")).unwrap_or(text);
    text.chars().filter(|letter| *letter != ':').map(|letter| letter.to_ascii_lowercase()).collect()
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(ca) = intermediates.iter().find(|certificate| self.is(certificate)) else {
            self.refused.store(true, Ordering::Relaxed);
            return Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
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
    use super::normalise;

    #[test]
    fn fingerprints_are_compared_however_people_write_them() {
        assert_eq!(normalise(" SHA256:AB:cd:01\n"), "abcd01");
    }
}
