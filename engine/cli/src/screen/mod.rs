//! Screens: pure functions from records of the API to text. No clock, no terminal, no engine: the time and the [`Look`] are
//! arguments, so that every screen can be compared with its picture.

pub mod agent;
pub mod bars;
pub mod breaker;
pub mod deployment;
pub mod event;
pub mod explain;
pub mod failure;
mod look;
pub mod node;
pub mod origin;
pub mod parameter;
pub mod plan;
pub mod proof;
pub mod rehearsal;
pub mod service;
pub mod status;
pub mod summary;
mod table;
pub mod token;
pub mod words;
pub mod workload;

#[cfg(test)]
mod tests;

pub use look::{Detail, Look, MEANINGS, Tone, tone};
pub use table::{Table, Text, ordered, toned};
