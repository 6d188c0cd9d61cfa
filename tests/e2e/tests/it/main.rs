//! The product as its users meet it: real binaries, real protocols, on the loopback and in containers that the tests made.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod backup;
mod docs;
mod enrolment;
mod faults;
mod machine;
mod marks;
mod power;
mod roles;
mod standby;
mod survival;
mod swarm;
mod workloads;
