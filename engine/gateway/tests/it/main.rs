//! The agents' door over real mTLS on loopback, with a fake engine behind it. Pure parts are tested where they live.

mod access;
mod ca;
mod content;
mod door;
mod enrolment;
mod fixture;
mod session;
