//! What people see of the PKI: authorities and certificates, without anything secret.

use jiff::Timestamp;
use serde::Serialize;

/// Everything that the PKI holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PkiListing {
    /// The authorities.
    pub authorities: Vec<AuthorityListing>,
    /// The certificates that hold.
    pub certificates: Vec<CertificateListing>,
}

/// One authority.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuthorityListing {
    /// The resource.
    pub owner: String,
    /// Its name.
    pub common_name: String,
    /// SHA-256 of its certificate, in hexadecimal.
    pub fingerprint: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// How many of its certificates are revoked and have not ended.
    pub revoked: usize,
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CertificateListing {
    /// The resource.
    pub owner: String,
    /// The resource of its authority, or the fingerprint of one that is gone.
    pub authority: String,
    /// The name in it.
    pub common_name: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// When it ends.
    pub not_after: Timestamp,
}
