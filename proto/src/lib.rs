//! The wire between engine and agents: what `rebar/agent/v1/agent.proto` generates, and nothing else. `rebar-gateway` is where
//! these messages meet the model.

/// Version 1 of the agents' protocol.
pub mod v1 {
    #![expect(
        missing_docs,
        clippy::pedantic,
        clippy::allow_attributes,
        reason = "generated; the documentation is in the .proto file"
    )]
    tonic::include_proto!("rebar.agent.v1");
}

/// The largest message either side accepts, in bytes.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// The largest chunk of a log or an archive, in bytes.
pub const MAX_CHUNK: usize = 64 * 1024;
/// The largest set of outputs that an attempt may return, in bytes of JSON.
pub const MAX_OUTPUTS: usize = 1024 * 1024;
