//! What handlers take out of a request: path, query, body, caller. As axum's own, except that what is wrong is said as a problem.

use axum::{
    extract::{
        FromRequest, FromRequestParts, OptionalFromRequest, Path, Query, Request,
        rejection::{BytesRejection, FailedToBufferBody, JsonRejection},
    },
    http::request::Parts,
};
use rebar_model::{Actor, TokenHash};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The parts of the path.
pub(crate) struct Segments<T>(pub T);

/// The query.
pub(crate) struct Params<T>(pub T);

/// The body, as JSON.
pub(crate) struct Body<T>(pub T);

/// The body as JSON; the default where there is none.
pub(crate) struct BodyOrDefault<T>(pub T);

/// The body as it is.
pub(crate) struct Raw(pub bytes::Bytes);

/// Whose token the request came with. Put there by `auth.rs`.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub actor: Actor,
    pub token: TokenHash,
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(it)) => Ok(Self(it)),
            Err(rejection) => Err(ApiError::Malformed(rejection.body_text())),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(it)) => Ok(Self(it)),
            Err(rejection) => Err(ApiError::Malformed(rejection.body_text())),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match <axum::Json<T> as FromRequest<S>>::from_request(request, state).await {
            Ok(axum::Json(it)) => Ok(Self(it)),
            Err(rejection) => Err(refused(rejection)),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for BodyOrDefault<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match <axum::Json<T> as OptionalFromRequest<S>>::from_request(request, state).await {
            Ok(body) => Ok(Self(body.map(|axum::Json(it)| it).unwrap_or_default())),
            Err(rejection) => Err(refused(rejection)),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        bytes::Bytes::from_request(request, state).await.map(Self).map_err(unread)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or(ApiError::NoToken)
    }
}

fn refused(rejection: JsonRejection) -> ApiError {
    match rejection {
        JsonRejection::MissingJsonContentType(_) => ApiError::NotJson,
        JsonRejection::BytesRejection(rejection) => unread(rejection),
        other => ApiError::Malformed(other.body_text()),
    }
}

fn unread(rejection: BytesRejection) -> ApiError {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => ApiError::TooLarge,
        other => ApiError::Malformed(other.body_text()),
    }
}
