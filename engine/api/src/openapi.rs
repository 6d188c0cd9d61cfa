//! The router with its OpenAPI document, both made of the same declarations.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, OriginalUri},
    http::Method,
    middleware,
    routing::get,
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use crate::{app::App, error::ApiError, guard::guard, limits::BODY, routes};

/// Where the API begins.
const BASE: &str = "/api/v1";

#[derive(OpenApi)]
#[openapi(
    info(title = "Rebar", description = "Composable operations: the operators' door.", license(name = "Apache-2.0")),
    modifiers(&Bearer),
    security(("bearer" = [])),
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

fn parts() -> (Router<App>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi()).nest(BASE, routes::all()).split_for_parts()
}

/// The OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    parts().1
}

/// Everything that answers.
pub(crate) fn router(app: App) -> Router {
    let (router, document) = parts();
    router
        .route(&format!("{BASE}/openapi.json"), get(move || async move { Json(document) }))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

async fn no_route(OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::NoRoute(uri.path().to_owned())
}

async fn no_method(method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::NoMethod { method: method.to_string(), path: uri.path().to_owned() }
}
