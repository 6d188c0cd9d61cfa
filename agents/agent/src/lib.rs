//! The agent: one small program on every machine. It dials out to the engine, runs what it is sent exactly once, and keeps what
//! happened until the engine has it. This crate is the inside of the program `rebar-agent`; the rules of the conversation are in
//! `rebar-link`, the contract with the authors of roles is `docs/role-contract.md`.
//!
//! ```text
//!   engine ◀── door (TLS, session, fetch) ── daemon ── link          one process, restarted at will
//!                                              │ ▲
//!                          starts, signals     ▼ │ knocks
//!                                          supervise                 a process that has one attempt, restarted never
//!                                              │
//!                                              ▼
//!                                        the role's phases
//! ```

pub mod cli;
mod clock;
mod daemon;
mod disk;
mod door;
mod error;
mod facts;
mod helper;
mod install;
mod knock;
mod redact;
mod release;
mod supervise;
mod user;

pub use error::Error;
