//! The rebar binary
