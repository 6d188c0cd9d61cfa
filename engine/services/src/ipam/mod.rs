//! Addresses out of pools: [`Ipam`] makes the resources `ipam.address` over the ledger. Which address is the next is pure arithmetic
//! in `space.rs`; claiming it, alone or against others, is in `allocate.rs`.

mod allocate;
mod service;
mod space;

pub use service::{ClaimListing, Ipam, IpamListing, PoolListing};

#[cfg(test)]
mod tests;
