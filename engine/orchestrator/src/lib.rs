//! The owner of the World: one task takes inputs, steps the scheduler, commits what it decided and only then lets effects out.
//! Everybody else talks to it through a cheap [`Handle`]. No adapter is named here: stores, services, providers and agents come
//! in as ports.

mod door;
mod engine;
mod error;
mod handle;
mod limits;
mod log_writer;
mod nodes;
mod outbox;
mod owner;
mod reconciler;
mod releases;
mod sessions;
mod shared;
mod standby;
#[cfg(test)]
mod tests;

pub use engine::{Engine, Listing, Ports};
pub use error::{EngineError, ImportError, ReleaseError, StartError};
pub use handle::{AddNode, AddedNode, AttemptProgress, Handle, ServiceKind};
pub use limits::{ENROL_TOKEN_TTL, LEASE_TTL, MAX_BATCH, MAX_INBOX};
pub use standby::Standby;
