//! The agent binary
