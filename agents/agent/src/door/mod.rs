//! The way to the engine: who this machine is, how it becomes known, and the one stream. What is said on it is `rebar-link`'s.

pub mod dial;
pub mod enrol;
pub mod fetch;
pub mod identity;
pub mod pinned;
pub mod session;
mod wire;
