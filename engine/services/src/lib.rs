//! The embedded services: DNS ([`Dns`]), addresses ([`Ipam`]), a TCP load balancer ([`LoadBalancer`]), certificates ([`Pki`]) and
//! waiting for what answers elsewhere ([`Waits`]), each behind the `Service` port, and the engine's own authority
//! ([`EngineAuthority`]). They take the whole desired state and make it so; who declares resources, and when, is decided elsewhere.
//! Drivers for external systems would stand beside them.

mod checks;
mod dns;
mod ipam;
mod lb;
mod outputs;
mod pki;
#[cfg(test)]
mod testing;
mod wait;

pub use dns::{Dns, DnsConfig, DnsListing, RecordListing, ZoneListing};
pub use ipam::{ClaimListing, Ipam, IpamListing, PoolListing};
pub use lb::{BackendListing, LbConfig, LbListing, LoadBalancer, VipListing};
pub use pki::{AuthorityConfig, AuthorityListing, CertificateListing, EngineAuthority, Pki, PkiConfig, PkiListing};
pub use wait::Waits;
