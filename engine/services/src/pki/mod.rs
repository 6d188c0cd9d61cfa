//! Certificates for deployments: [`Pki`] makes the resources `pki.ca` and `pki.cert`, [`EngineAuthority`] is the engine's own
//! authority. How a certificate is made lives in `ca.rs`, reading requests in `request.rs`; what is kept, in `kept.rs`.

mod ca;
mod engine;
mod kept;
mod listing;
mod request;
mod service;

pub use engine::{AuthorityConfig, EngineAuthority};
pub use listing::{AuthorityListing, CertificateListing, PkiListing};
pub use service::{Pki, PkiConfig};

#[cfg(test)]
mod tests;
