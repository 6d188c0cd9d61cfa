//! The verbs as an operator meets them: planning, scheduling, explaining. Each test reads like a short session on a World that
//! `stage.rs` sets up; storms and chance are the business of the simulation.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod agents;
mod breakers;
mod lifecycle;
mod machines;
mod outside;
mod planning;
mod protection;
mod scheduling;
mod stage;
mod tokens;
mod upgrades;
mod verdicts;
