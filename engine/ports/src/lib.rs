//! The traits through which the engine meets the outside: store, logs, blobs, vault, ledger, services, providers, agents, clock.
//! One a file, each small, each with an in-memory double where a test needs one. Adapters live in the crates of floor 3; only
//! `rebar-cli` names them.

mod agent;
mod authority;
mod blobs;
mod clock;
mod door;
mod ledger;
mod logs;
pub mod memory;
mod provider;
mod service;
mod store;
mod vault;

pub use agent::{AgentCommand, AgentGone, AgentSession, PhaseWork, UpgradeOrder, Work};
pub use authority::{Authority, AuthorityError, ENGINE_NAME, Identity};
pub use blobs::Blobs;
pub use clock::{Clock, Entropy};
pub use door::{AgentDoor, AgentHello, DoorError, SessionId};
pub use ledger::{Claim, Ledger};
pub use logs::{LogChunk, Logs};
pub use provider::{EnrolTicket, Machine, MachineRequest, Provider, ProviderError};
pub use service::{Observed, Service, ServiceError};
pub use store::{AttemptQuery, HistoryQuery, RevisionQuery, Store, StoreError};
pub use vault::Vault;
