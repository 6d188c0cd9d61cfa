//! The guard in front of the router: refuses every call that needs a node's certificate and has none, before a byte of its
//! message is read. What a node may do once it is known is decided behind it.

use std::convert::Infallible;

use hyper::{Request, Response, body::Incoming};
use tonic::{Status, body::Body, service::Routes};
use tower::ServiceExt;

use crate::peer::Peer;

/// The only methods that answer without a client certificate. Everything else, known or unknown, is refused.
pub const OPEN_METHODS: [&str; 1] = ["/rebar.agent.v1.Enrolment/Enrol"];

/// Answers one call of a peer; none is a connection without a node's certificate.
pub(crate) async fn guard(
    routes: Routes,
    peer: Option<Peer>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    match peer {
        Some(peer) => {
            request.extensions_mut().insert(peer);
        }
        None if OPEN_METHODS.contains(&request.uri().path()) => {}
        None => {
            tracing::warn!(path = request.uri().path(), "call without a node's certificate refused");
            return Ok(Status::unauthenticated("this needs the certificate of an enrolled node").into_http());
        }
    }
    routes.oneshot(request).await
}
