//! The product as its users meet it: real binaries, real protocols, on the loopback and in containers that the tests made.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod agents;
mod backup;
mod breakers;
mod database;
mod docs;
mod edge;
mod enrolment;
mod excess;
mod faults;
mod fleet;
mod machine;
mod marks;
mod power;
mod rehearse;
mod revisions;
mod roles;
mod standby;
mod storm;
mod survival;
mod swarm;
mod witness;
mod workloads;
