//! A certificate authority in memory: its certificate, its key, and what it signs. Where the key is kept and which names a
//! certificate gets is decided by its users, `service.rs` and `engine.rs`. Keys never appear in an error or a log.

use std::net::IpAddr;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, RevocationReason, RevokedCertParams, SanType, SerialNumber,
};
use rebar_model::Span;
use rebar_ports::AuthorityError;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use time::OffsetDateTime;

use super::kept::Revoked;

/// How long an authority lives: ten years.
pub(crate) const CA_LIFETIME: Span = Span::from_secs(3_650 * 24 * 3_600);
/// How far before its making a certificate becomes valid, for clocks that are behind.
pub(crate) const BACKDATE: Span = Span::from_secs(300);
/// How long a list of revoked certificates is good.
const CRL_LIFETIME: Span = Span::from_secs(7 * 24 * 3_600);
/// The longest common name (X.520, ub-common-name).
const MAX_COMMON_NAME: usize = 64;
/// The most names that one certificate may carry.
const MAX_SANS: usize = 100;

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// To show oneself as a TLS server.
    Server,
    /// To show oneself as a TLS client.
    Client,
}

/// What a certificate says.
pub(crate) struct Subject<'a> {
    pub(crate) common_name: &'a str,
    pub(crate) sans: Vec<SanType>,
    pub(crate) usages: Vec<Usage>,
    pub(crate) valid_for: Span,
}

/// A certificate that was signed.
pub(crate) struct Signed {
    pub(crate) pem: String,
    pub(crate) serial: String,
    pub(crate) not_after: Timestamp,
}

/// An authority with its key.
pub(crate) struct CertificateAuthority {
    cert_pem: String,
    fingerprint: String,
    not_after: Timestamp,
    issuer: Issuer<'static, KeyPair>,
}

impl CertificateAuthority {
    /// A new authority with a new key.
    pub(crate) fn create(common_name: &str, now: Timestamp) -> Result<Self, AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(common_name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = calendar(before(now))?;
        params.not_after = calendar(CA_LIFETIME.after(now))?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let cert_pem = params.self_signed(&key).map_err(failed)?.pem();
        Self::load(&cert_pem, &key.serialize_pem())
    }

    /// An authority that was kept.
    pub(crate) fn load(cert_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        // The parser's own words might quote what it was given, which is a key.
        let key = KeyPair::from_pem(key_pem)
            .map_err(|_| AuthorityError::Failed("the kept key of an authority cannot be read".to_owned()))?;
        let der = CertificateDer::from_pem_slice(cert_pem.as_bytes()).map_err(failed)?;
        let (_, cert) = x509_parser::parse_x509_certificate(&der).map_err(failed)?;
        let not_after = Timestamp::from_second(cert.validity().not_after.timestamp()).map_err(failed)?;
        Ok(Self {
            cert_pem: cert_pem.to_owned(),
            fingerprint: fingerprint(&der),
            not_after,
            issuer: Issuer::from_ca_cert_der(&der, key).map_err(failed)?,
        })
    }

    /// The certificate in PEM.
    pub(crate) fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// SHA-256 of the certificate in DER, in hexadecimal.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// When it ends.
    pub(crate) fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The key in PEM, to be sealed.
    pub(crate) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Signs a certificate for a key. `request` is what makes it another one than before: it goes into the serial number.
    pub(crate) fn sign(
        &self,
        key: &impl PublicKeyData,
        subject: Subject<'_>,
        request: &[u8],
        now: Timestamp,
    ) -> Result<Signed, AuthorityError> {
        let not_after = subject.valid_for.after(now).min(self.not_after);
        if not_after <= now {
            return Err(AuthorityError::Failed(format!("its authority ended at {}", self.not_after)));
        }
        let serial = self.serial(key, request, now);
        let mut params = CertificateParams::default();
        params.distinguished_name = name(subject.common_name)?;
        params.subject_alt_names = subject.sans;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = subject.usages.iter().map(|usage| usage.purpose()).collect();
        params.not_before = calendar(before(now))?;
        params.not_after = calendar(not_after)?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let pem = params.signed_by(key, &self.issuer).map_err(failed)?.pem();
        Ok(Signed { pem, serial: hex::encode(serial), not_after })
    }

    /// The list of revoked certificates in PEM.
    pub(crate) fn crl(&self, revoked: &[Revoked], now: Timestamp) -> Result<String, AuthorityError> {
        let mut revoked_certs = Vec::with_capacity(revoked.len());
        for it in revoked {
            revoked_certs.push(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&hex::decode(&it.serial).map_err(failed)?),
                revocation_time: calendar(it.at)?,
                reason_code: Some(RevocationReason::CessationOfOperation),
                invalidity_date: None,
            });
        }
        let params = CertificateRevocationListParams {
            this_update: calendar(before(now))?,
            next_update: calendar(CRL_LIFETIME.after(now))?,
            // A later list has a higher number, also after a restart.
            crl_number: SerialNumber::from(u64::try_from(now.as_second()).unwrap_or_default()),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).and_then(|list| list.pem()).map_err(failed)
    }

    /// A positive serial number of sixteen bytes that no other certificate of this authority has.
    fn serial(&self, key: &impl PublicKeyData, request: &[u8], now: Timestamp) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.fingerprint.as_bytes());
        hasher.update(key.der_bytes());
        hasher.update(request);
        hasher.update(&now.as_nanosecond().to_be_bytes());
        let mut serial = [0; 16];
        serial.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        // The first bit is the sign, and a first byte of zero would not survive DER.
        serial[0] = (serial[0] & 0x7f) | 0x40;
        serial
    }
}

impl Usage {
    /// Reads a usage as people write it.
    pub(crate) fn parse(text: &str) -> Result<Self, AuthorityError> {
        match text {
            "server" => Ok(Self::Server),
            "client" => Ok(Self::Client),
            _ => Err(AuthorityError::BadRequest(format!("usage `{text}` is unknown; use `server` or `client`"))),
        }
    }

    fn purpose(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Self::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }
    }
}

/// Reads DNS names and addresses as people write them.
pub(crate) fn subject_names(texts: &[String]) -> Result<Vec<SanType>, AuthorityError> {
    if texts.len() > MAX_SANS {
        return Err(AuthorityError::BadRequest(format!("{} names; at most {MAX_SANS} are possible", texts.len())));
    }
    texts.iter().map(|text| subject_name(text)).collect()
}

fn subject_name(text: &str) -> Result<SanType, AuthorityError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let bad = || AuthorityError::BadRequest(format!("`{text}` is neither a DNS name nor an address"));
    let dns = text.strip_suffix('.').unwrap_or(text);
    let labels = dns.strip_prefix("*.").unwrap_or(dns);
    let good = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if dns.len() > 253 || !labels.split('.').all(good) {
        return Err(bad());
    }
    dns.to_owned().try_into().map(SanType::DnsName).map_err(|_| bad())
}

/// SHA-256 of some DER, in hexadecimal.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, der))
}

/// The moment from which a certificate made now is valid.
fn before(now: Timestamp) -> Timestamp {
    now.checked_sub(BACKDATE.as_duration()).unwrap_or(Timestamp::MIN)
}

fn name(common_name: &str) -> Result<DistinguishedName, AuthorityError> {
    let length = common_name.chars().count();
    if !(1..=MAX_COMMON_NAME).contains(&length) || common_name.chars().any(char::is_control) {
        return Err(AuthorityError::BadRequest(format!(
            "the common name has to have 1 to {MAX_COMMON_NAME} printable characters, not {length}"
        )));
    }
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    Ok(name)
}

fn calendar(at: Timestamp) -> Result<OffsetDateTime, AuthorityError> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> AuthorityError {
    AuthorityError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_has_so_many_names_so_long() {
        let names = vec!["a.test".to_owned(); MAX_SANS + 1];
        assert!(subject_names(&names[1..]).is_ok());
        assert!(subject_names(&names).is_err_and(|it| it.to_string().contains("at most 100")));
        assert!(name(&"x".repeat(MAX_COMMON_NAME)).is_ok());
        assert!(name(&"x".repeat(MAX_COMMON_NAME + 1)).is_err_and(|it| it.to_string().contains("1 to 64")));
    }
}
