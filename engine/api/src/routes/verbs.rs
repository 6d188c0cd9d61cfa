//! `/deployments/{name}/VERB`: what people have a deployment do, beside accepting a plan.

use axum::{Json, extract::State, http::StatusCode};
use rebar_model::DeploymentName;
use rebar_scheduler::Command;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::{BodyOrDefault, Caller, Segments},
    limits::REASON,
    types::{Accepted, PauseRequest, Problem, RetryRequest, WipeRequest},
    words::shortened,
};

type Answer = Result<(StatusCode, Json<Accepted>), ApiError>;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(rebuild))
        .routes(routes!(destroy))
}

/// What is said once something is written down.
pub(super) fn accepted(app: &App, name: &DeploymentName) -> Accepted {
    app.handle.read(|world| Accepted {
        deployment: name.clone(),
        revision: world.deployments().get(name).map(|it| it.revision).unwrap_or_default(),
        seq: world.applied(),
    })
}

async fn have(app: &App, caller: Caller, name: &DeploymentName, command: Command) -> Answer {
    app.handle.command(caller.actor, command).await?;
    Ok((StatusCode::ACCEPTED, Json(accepted(app, name))))
}

/// Start nothing new; what runs goes on
#[utoipa::path(post, path = "/deployments/{name}/pause", tag = "deployments", params(("name" = String, Path)),
    request_body = PauseRequest, responses((status = 202, body = Accepted), (status = 404, body = Problem)))]
async fn pause(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<DeploymentName>,
    BodyOrDefault(PauseRequest { reason }): BodyOrDefault<PauseRequest>,
) -> Answer {
    let command = Command::Pause { deployment: name.clone(), reason: shortened(&reason, REASON) };
    have(&app, caller, &name, command).await
}

/// Go on
#[utoipa::path(post, path = "/deployments/{name}/resume", tag = "deployments", params(("name" = String, Path)),
    responses((status = 202, body = Accepted), (status = 404, body = Problem)))]
async fn resume(State(app): State<App>, caller: Caller, Segments(name): Segments<DeploymentName>) -> Answer {
    have(&app, caller, &name, Command::Resume { deployment: name.clone() }).await
}

/// End what runs, and start nothing new
#[utoipa::path(post, path = "/deployments/{name}/cancel", tag = "deployments", params(("name" = String, Path)),
    request_body = PauseRequest, responses((status = 202, body = Accepted), (status = 404, body = Problem)))]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<DeploymentName>,
    BodyOrDefault(PauseRequest { reason }): BodyOrDefault<PauseRequest>,
) -> Answer {
    let reason = if reason.is_empty() { format!("cancelled by {}", caller.actor) } else { reason };
    let command = Command::Cancel { deployment: name.clone(), reason: shortened(&reason, REASON) };
    have(&app, caller, &name, command).await
}

/// Try failed node-roles again
#[utoipa::path(post, path = "/deployments/{name}/retry", tag = "deployments", params(("name" = String, Path)),
    request_body = RetryRequest,
    responses((status = 202, body = Accepted), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn retry(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<DeploymentName>,
    BodyOrDefault(request): BodyOrDefault<RetryRequest>,
) -> Answer {
    let ids = app.handle.read(|world| {
        address::deployment(world, &name)?;
        let found = request.addresses.iter().map(|it| address::node_role(world, &name, it));
        found.map(|it| it.map(|it| it.spec.id.clone())).collect::<Result<Vec<_>, ApiError>>()
    })?;
    have(&app, caller, &name, Command::Retry { deployment: name.clone(), ids }).await
}

/// Wipe everything, then build it again
#[utoipa::path(post, path = "/deployments/{name}/rebuild", tag = "deployments", params(("name" = String, Path)),
    request_body = WipeRequest,
    responses((status = 202, body = Accepted), (status = 403, description = "a protected role was not named", body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn rebuild(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<DeploymentName>,
    BodyOrDefault(WipeRequest { allow_protected: allowed }): BodyOrDefault<WipeRequest>,
) -> Answer {
    have(&app, caller, &name, Command::Rebuild { deployment: name.clone(), allowed }).await
}

/// Wipe everything, then forget the deployment
#[utoipa::path(post, path = "/deployments/{name}/destroy", tag = "deployments", params(("name" = String, Path)),
    request_body = WipeRequest,
    responses((status = 202, body = Accepted), (status = 403, description = "a protected role was not named", body = Problem),
        (status = 404, body = Problem)))]
async fn destroy(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<DeploymentName>,
    BodyOrDefault(WipeRequest { allow_protected: allowed }): BodyOrDefault<WipeRequest>,
) -> Answer {
    have(&app, caller, &name, Command::Destroy { deployment: name.clone(), allowed }).await
}
