//! The agents' door over real mTLS on loopback, with a fake engine behind it. Pure parts are tested where they live.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod access;
mod admission;
mod authority;
mod ca;
mod content;
mod door;
mod enrolment;
mod fixture;
mod session;
