//! `/services`: what DNS, addresses, load balancer and PKI have.

use axum::{Json, extract::State};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    error::ApiError,
    extract::Segments,
    types::{Problem, ServiceName, ServiceView},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get))
}

/// List what a service has
#[utoipa::path(get, path = "/services/{service}", tag = "services",
    params(("service" = inline(ServiceName), Path)),
    responses((status = 200, body = ServiceView), (status = 400, body = Problem)))]
async fn get(State(app): State<App>, Segments(service): Segments<ServiceName>) -> Result<Json<ServiceView>, ApiError> {
    let listing = app.handle.listing(service.into()).await;
    Ok(Json(ServiceView { service, listing }))
}
