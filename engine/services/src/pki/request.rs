//! Reading certificate requests (PKCS #10). Only the key is taken from a request: its signature proves that whoever asks holds the
//! key, its names and extensions are not trusted and not looked at.

use rcgen::SubjectPublicKeyInfo;
use rebar_ports::AuthorityError;
use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

/// The longest request that is read, in bytes of PEM: a request with an RSA key of 16384 bits is below 8 KiB.
const MAX_REQUEST: usize = 16 * 1024;

/// The key of a request whose signature is right.
pub(crate) struct ProvenKey {
    /// The public key.
    pub(crate) key: SubjectPublicKeyInfo,
    /// The request, in DER: what makes two requests the same.
    pub(crate) der: Vec<u8>,
}

impl ProvenKey {
    /// Reads a request in PEM and verifies its signature.
    pub(crate) fn from_csr(pem: &str) -> Result<Self, AuthorityError> {
        if pem.len() > MAX_REQUEST {
            return Err(bad(format!("longer than {MAX_REQUEST} bytes")));
        }
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| bad("is not a PEM block `CERTIFICATE REQUEST`"))?;
        let (rest, csr) = X509CertificationRequest::from_der(&der).map_err(|_| bad("cannot be read"))?;
        if !rest.is_empty() {
            return Err(bad("has bytes after its end"));
        }
        csr.verify_signature().map_err(|_| bad("its signature does not match its key"))?;
        let key = SubjectPublicKeyInfo::from_der(csr.certification_request_info.subject_pki.raw)
            .map_err(|_| bad("its key is of a kind that is not supported; use ECDSA P-256 or P-384, Ed25519 or RSA"))?;
        Ok(Self { key, der: der.to_vec() })
    }
}

fn bad(detail: impl Into<String>) -> AuthorityError {
    AuthorityError::BadRequest(detail.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_it_may_be() {
        let refused = |length: usize| ProvenKey::from_csr(&"x".repeat(length)).err().map(|it| it.to_string());
        assert!(refused(MAX_REQUEST).is_some_and(|it| it.contains("PEM")), "it is read");
        assert!(refused(MAX_REQUEST + 1).is_some_and(|it| it.contains("longer than 16384")));
    }
}
