//! The tests of the crate's public face, in one binary. What each module checks stands at its head.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod catalog;
mod every_key;
mod good;
mod keys;
mod mutations;
mod packages;
mod pages;
mod reference;
mod rendering;
mod robustness;
mod rules;
mod scaffold;
mod schemas;
mod taken;
