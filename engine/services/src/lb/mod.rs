//! The load balancer: [`LoadBalancer`] makes the resources `lb.vip` and `lb.backend` with listeners of its own. Accepting and passing
//! on is in `vip.rs`, choosing a backend in `pool.rs`, what is thought of a backend in `health.rs` and `check.rs`, and the addresses
//! of the host in `address.rs`.

mod address;
mod backend;
mod check;
mod health;
mod listing;
mod pool;
mod service;
mod vip;
mod wishes;

pub use listing::{BackendListing, LbListing, VipListing};
pub use service::{LbConfig, LoadBalancer};

#[cfg(test)]
mod tests;
