//! The way to an engine inside of this very process: the one of a rehearsal. It may be away for a while, as any other; who asks then
//! is told the same.

use std::sync::{Arc, Mutex, PoisonError};

use rebar_orchestrator::Handle;
use rebar_ports::Clock;
use reqwest::{
    Body, Request, Response,
    header::{AUTHORIZATION, HeaderValue},
};
use tokio::sync::watch;

use super::{Client, Trust, bearer};
use crate::failure::{Failure, Trouble};

/// The name that such an engine goes by where an address is shown.
const NAME: &str = "https://rehearsal";

/// The way to an engine inside of this process.
pub struct Inside {
    token: HeaderValue,
    clock: Arc<dyn Clock>,
    door: Mutex<Door>,
}

struct Door {
    handle: watch::Receiver<Option<Handle>>,
    routes: Option<Arc<rebar_api::Inside>>,
}

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inside").finish_non_exhaustive()
    }
}

impl Client {
    /// A client for an engine inside of this process.
    pub fn inside(
        mut handle: watch::Receiver<Option<Handle>>,
        clock: Arc<dyn Clock>,
        token: &str,
    ) -> Result<Self, Failure> {
        handle.mark_changed();
        let door = Mutex::new(Door { handle, routes: None });
        // Nothing ever goes out by it: it only puts requests together.
        let outside = Self::build(NAME, &Trust::fingerprint(&"0".repeat(64))?, None, &[])?;
        let token = bearer(token)?;
        Ok(Self { inside: Some(Arc::new(Inside { token, clock, door })), ..outside })
    }
}

impl Inside {
    /// Hands a request over.
    pub(super) async fn send(&self, mut request: Request) -> Result<Response, Failure> {
        let routes = self
            .routes()
            .ok_or_else(|| Failure::new(Trouble::Unreachable, "the engine of the rehearsal is away at this moment"))?;
        request.headers_mut().insert(AUTHORIZATION, self.token.clone());
        let strange = |error: reqwest::Error| Failure::new(Trouble::Strange, format!("a request: {error}"));
        let request: http::Request<Body> = request.try_into().map_err(strange)?;
        let request = request.map(|body| body.as_bytes().unwrap_or_default().to_vec());
        Ok(routes.answer(request).await.map(Body::wrap_stream).into())
    }

    /// The routes of the engine that is there now.
    fn routes(&self) -> Option<Arc<rebar_api::Inside>> {
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        if door.handle.has_changed().unwrap_or(false) {
            let handle = door.handle.borrow_and_update().clone();
            door.routes = handle.map(|it| Arc::new(rebar_api::Inside::open(it, self.clock.clone())));
        }
        door.routes.clone()
    }
}
