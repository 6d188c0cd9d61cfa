//! The operators' HTTPS door: REST, events, problems, OpenAPI. It looks and asks through the orchestrator's handle and decides
//! nothing itself. What it says and hears is in [`types`], which clients share.

pub mod types;
