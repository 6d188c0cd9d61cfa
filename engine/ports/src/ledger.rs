//! The port to claimed addresses: who holds which address of which pool. The store makes it impossible that two hold one.

use std::net::IpAddr;

use async_trait::async_trait;
use ipnet::IpNet;

use crate::StoreError;

/// An address that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The pool.
    pub pool: IpNet,
    /// The address.
    pub address: IpAddr,
    /// Who holds it: the id of a resource.
    pub owner: String,
}

/// Claimed addresses.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Claims an address: true if `owner` holds it now, false if another does. Atomic over all engines on one database.
    async fn claim(&self, claim: &Claim) -> Result<bool, StoreError>;

    /// Gives up all that `owner` holds.
    async fn release(&self, owner: &str) -> Result<(), StoreError>;

    /// All claims, ordered by pool and address.
    async fn claims(&self) -> Result<Vec<Claim>, StoreError>;
}
