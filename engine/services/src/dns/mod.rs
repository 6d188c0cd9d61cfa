//! Names: [`Dns`] makes the resource `dns.record` in an authoritative server of its own. What the zones hold follows from the
//! resources alone (`records.rs`); how they answer is in `zone.rs` and `front.rs`, asking others in `forward.rs`.

mod forward;
mod front;
mod records;
mod service;
mod zone;

pub use service::{Dns, DnsConfig, DnsListing, RecordListing, ZoneListing};

#[cfg(test)]
mod tests;
