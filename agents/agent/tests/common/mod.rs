//! A fake engine that speaks the real protocol over real TLS, and the real program as its agent. No test waits for time to pass:
//! all wait for conditions.

#![expect(dead_code, reason = "every test program uses its own part")]

pub mod agent;
pub mod engine;
pub mod pki;
pub mod release;
pub mod role;
pub mod setup;
