//! The whole door over TLS on loopback, before a real engine with its memory in memory. Agents and services are played by the tests.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod agents;
mod attempts;
mod auth;
mod breakers;
mod deployments;
mod events;
mod explaining;
mod fixture;
mod generated;
mod limits;
mod listings;
mod nodes;
mod outside;
mod parameters;
mod protection;
mod revisions;
mod waiting;
mod workloads;
