//! What every request passes: is the token good, is there a seat, does it end in time, and a problem where a handler panics.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use jiff::Timestamp;
use rebar_model::{Actor, ApiToken, TokenHash, World};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    app::App,
    error::ApiError,
    extract::Caller,
    limits::{ANSWER, LONG_ANSWER, WAIT_MOST},
};

/// What answers without a token.
const OPEN: [&str; 2] = ["/api/v1/version", "/api/v1/openapi.json"];

/// The seat of a request: held until the request, or the stream that it became, has ended.
#[derive(Clone)]
pub(crate) struct Seat(#[expect(dead_code, reason = "held for its drop")] Arc<OwnedSemaphorePermit>);

/// How a request is to be treated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Answered at once.
    Quick,
    /// Makes machines, or reads packages.
    Long,
    /// Waits or streams.
    Patient,
}

impl Pace {
    fn of(method: &Method, path: &str) -> Self {
        let last = path.rsplit('/').next().unwrap_or_default();
        match last {
            "wait" | "log" | "events" if method == Method::GET => Self::Patient,
            "nodes" | "workloads" | "agent-releases" if method == Method::POST => Self::Long,
            _ if method == Method::DELETE && path.starts_with("/api/v1/nodes/") => Self::Long,
            _ => Self::Quick,
        }
    }

    fn most(self) -> Duration {
        match self {
            Self::Quick => ANSWER,
            Self::Long => LONG_ANSWER,
            // A wait ends by itself; what streams has answered long before.
            Self::Patient => WAIT_MOST.as_duration() + ANSWER,
        }
    }
}

/// Lets a request through that may pass.
pub(crate) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match authorize(&app, request.headers()) {
        Some(caller) => drop(request.extensions_mut().insert(caller)),
        None if OPEN.contains(&request.uri().path()) => {}
        None => return ApiError::NoToken.into_response(),
    }
    let pace = Pace::of(request.method(), request.uri().path());
    let seats = if pace == Pace::Patient { &app.streams } else { &app.requests };
    let Some(seat) = take(seats) else { return ApiError::Busy.into_response() };
    request.extensions_mut().insert(seat.clone());
    let answer = AssertUnwindSafe(timeout(pace.most(), next.run(request))).catch_unwind().await;
    drop(seat);
    match answer {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => ApiError::TooLong.into_response(),
        Err(_) => ApiError::Broken.into_response(),
    }
}

fn take(seats: &Arc<Semaphore>) -> Option<Seat> {
    seats.clone().try_acquire_owned().ok().map(|it| Seat(Arc::new(it)))
}

/// Whose token the request came with. The look-up is by hash, so that its time says nothing about other tokens.
fn authorize(app: &App, headers: &HeaderMap) -> Option<Caller> {
    let given = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let (scheme, token) = given.split_once(' ').unwrap_or_default();
    let hash = TokenHash::of(token.trim());
    let now = app.handle.now();
    let known = app.handle.read(|world| known(world, &hash, now));
    let known = known.filter(|_| scheme.eq_ignore_ascii_case("bearer"))?;
    Some(Caller { actor: Actor(known.name), token: hash })
}

fn known(world: &World, hash: &TokenHash, now: Timestamp) -> Option<ApiToken> {
    world.api_tokens().get(hash).filter(|it| it.expires_at.is_none_or(|at| at > now)).cloned()
}

impl<S: Send + Sync> FromRequestParts<S> for Seat {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or(ApiError::Busy)
    }
}
