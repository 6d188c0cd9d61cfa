//! Certificates for deployments: [`Pki`] makes the resources `pki.ca` and `pki.cert`, [`EngineAuthority`] is the engine's own
//! authority. How a certificate is made lives in `ca.rs`, reading requests in `request.rs`; what is kept, in `kept.rs`.

mod ca;
mod engine;
mod kept;
mod request;
mod service;

pub use engine::{AuthorityConfig, EngineAuthority};
pub use service::{AuthorityListing, CertificateListing, Pki, PkiConfig, PkiListing};

#[cfg(test)]
mod tests;
