//! `/version`: what answers here, said without a token.

use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{app::App, types::VersionView};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get))
}

/// What answers here
#[utoipa::path(get, path = "/version", tag = "version", security(()), responses((status = 200, body = VersionView)))]
async fn get() -> Json<VersionView> {
    Json(VersionView { version: env!("CARGO_PKG_VERSION").to_owned(), api: "v1".to_owned() })
}
