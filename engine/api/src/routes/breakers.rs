//! `/breakers` and `/deployments/{name}/breaker`: where breakers stand; a person opens and closes them.

use axum::{Json, extract::State, http::StatusCode};
use rebar_model::{BreakerState, Deployment, DeploymentName, Evidence, World};
use rebar_scheduler::{Command, bounds};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::{BodyOrDefault, Caller, Params, Segments},
    limits::REASON,
    paging::{limit, page},
    types::{BreakerView, Page, PageQuery, Problem, ResetRequest, TripRequest},
    words::{self, shortened},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(trip)).routes(routes!(reset))
}

/// List the breakers of all deployments
#[utoipa::path(get, path = "/breakers", tag = "breakers", params(PageQuery),
    responses((status = 200, body = Page<BreakerView>)))]
async fn list(State(app): State<App>, Params(query): Params<PageQuery>) -> Result<Json<Page<BreakerView>>, ApiError> {
    let token = query.page_token.as_deref().map(address::parse).transpose()?;
    Ok(Json(app.handle.read(|world| {
        let bounds = (token.as_ref(), limit(query.limit));
        page(world.deployments().iter(), bounds, world.applied(), |_, it| view(world, it))
    })))
}

/// Show the breaker of a deployment
#[utoipa::path(get, path = "/deployments/{name}/breaker", tag = "breakers", params(("name" = String, Path)),
    responses((status = 200, body = BreakerView), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, Segments(name): Segments<DeploymentName>) -> Result<Json<BreakerView>, ApiError> {
    app.handle.read(|world| Ok(Json(view(world, address::deployment(world, &name)?))))
}

/// Open a breaker
///
/// Nothing new starts in its deployment; what runs goes on to its end.
#[utoipa::path(post, path = "/deployments/{name}/breaker/trip", tag = "breakers", params(("name" = String, Path)),
    request_body = TripRequest, responses((status = 202, body = BreakerView), (status = 404, body = Problem)))]
async fn trip(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<DeploymentName>,
    BodyOrDefault(TripRequest { reason }): BodyOrDefault<TripRequest>,
) -> Result<(StatusCode, Json<BreakerView>), ApiError> {
    let command = Command::TripBreaker { deployment: name.clone(), reason: shortened(&reason, REASON) };
    have(app, caller, name, command).await
}

/// Close a breaker, or let one through to try
#[utoipa::path(post, path = "/deployments/{name}/breaker/reset", tag = "breakers", params(("name" = String, Path)),
    request_body = ResetRequest, responses((status = 202, body = BreakerView), (status = 404, body = Problem)))]
async fn reset(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<DeploymentName>,
    BodyOrDefault(ResetRequest { probe }): BodyOrDefault<ResetRequest>,
) -> Result<(StatusCode, Json<BreakerView>), ApiError> {
    have(app, caller, name.clone(), Command::ResetBreaker { deployment: name, probe }).await
}

async fn have(
    app: App,
    caller: Caller,
    name: DeploymentName,
    command: Command,
) -> Result<(StatusCode, Json<BreakerView>), ApiError> {
    app.handle.command(caller.actor, command).await?;
    app.handle.read(|world| Ok((StatusCode::ACCEPTED, Json(view(world, address::deployment(world, &name)?)))))
}

/// The breaker of a deployment as people see it.
pub(crate) fn view(world: &World, deployment: &Deployment) -> BreakerView {
    let (breaker, bounds) = (deployment.breaker.clone(), bounds(world, deployment));
    let (since, by, evidence, probe) = match breaker.state.clone() {
        BreakerState::Closed => (None, None, None, None),
        BreakerState::Open { since, by, evidence, next: _ } => (Some(since), Some(by), Some(evidence), None),
        BreakerState::HalfOpen { since, by, probe } => (Some(since), Some(by), None, probe),
    };
    BreakerView {
        deployment: deployment.name.clone(),
        state: breaker.state.word().to_owned(),
        since,
        by,
        why: evidence.as_ref().map(|it: &Evidence| words::evidence(it)),
        evidence,
        probe,
        in_a_row: breaker.in_a_row,
        consecutive: bounds.consecutive,
        failed: breaker.failed.into_iter().collect(),
        max_failed: bounds.max_failed,
    }
}
