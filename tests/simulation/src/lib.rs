//! A whole Rebar in one thread: the real model, scheduler, orchestrator, sessions of the agents' door and agents' link, on a simulated
//! clock, network, disk and store, everything drawn from one seed. An auditor looks at every commit and at everything that machines
//! do; a failure is replayed from its seed.

mod agent;
mod audit;
mod chance;
mod clock;
mod demands;
mod engines;
mod gate;
mod generate;
mod machine;
mod nemesis;
mod network;
mod operator;
mod service;
mod sim;
mod store;

pub use chance::Faults;
pub use sim::{Summary, play};
