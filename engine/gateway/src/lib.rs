//! The agents' gRPC door: TLS with the engine's own identity, the name of a node from its certificate, one session a node, and
//! the place where the wire meets the model. What is done about what an agent says is behind the `AgentDoor` port.

mod access;
mod admission;
mod agent;
mod anteroom;
mod contents;
mod convert;
mod enrolment;
mod lanes;
mod limits;
mod outbox;
mod peer;
mod registry;
mod serve;
mod session;
mod sessions;
mod status;
mod tls;

pub use access::OPEN_METHODS;
pub use admission::Arrivals;
pub use limits::Limits;
pub use outbox::OutStream;
pub use serve::{Gateway, GatewayConfig, GatewayError};
pub use sessions::Sessions;
