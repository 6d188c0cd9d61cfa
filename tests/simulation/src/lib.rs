//! A whole Rebar in one thread: the real model and scheduler on a simulated clock, network, store and fleet of agents, everything drawn
//! from one seed. Invariants are looked at after every step; a failure is replayed from its seed.

mod agent;
mod generate;
mod operator;
mod sim;

pub use agent::Agent;
pub use generate::{deployment_name, workload};
pub use sim::{Faults, Sim, Summary};
