//! The door from inside of the process: the same routes, asked without a socket. Rehearsals are looked at through it, so that what
//! people see of them is what they see of an engine.

use std::sync::Arc;

use axum::{
    Error, Router,
    body::Body,
    http::{Request, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use rebar_orchestrator::Handle;
use rebar_ports::Clock;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{app::App, openapi::router};

/// A body as it comes.
pub type Pieces = BoxStream<'static, Result<Bytes, Error>>;

/// The routes in front of a handle. What it has begun ends when it is dropped.
pub struct Inside {
    routes: Router,
    stop: CancellationToken,
}

impl Inside {
    /// Has to be opened where tasks can be started.
    pub fn open(handle: Handle, clock: Arc<dyn Clock>) -> Self {
        let stop = CancellationToken::new();
        Self { routes: router(App::new(handle, clock, stop.clone())), stop }
    }

    /// Answers a request; it needs a token, like any other.
    pub async fn answer(&self, request: Request<Vec<u8>>) -> Response<Pieces> {
        let Ok(response) = self.routes.clone().oneshot(request.map(Body::from)).await;
        response.map(|body| body.into_data_stream().boxed())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
