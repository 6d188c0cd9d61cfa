//! The product as its users meet it: real binaries, real protocols, on the loopback and in containers that the tests made.

mod enrolment;
mod faults;
mod marks;
mod roles;
mod survival;
mod workloads;
