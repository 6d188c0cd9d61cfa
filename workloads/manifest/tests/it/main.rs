//! The tests of the crate's public face, in one binary. What each module checks stands at its head.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod catalog;
mod good;
mod mutations;
mod packages;
mod pages;
mod rendering;
mod robustness;
mod scaffold;
mod schemas;
