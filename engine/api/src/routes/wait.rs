//! `/deployments/{name}/wait`: waiting on the server, by looking at how things stand whenever history went on. An event that is
//! missed changes nothing, since every look is a whole one.

use axum::{Json, extract::State};
use jiff::Timestamp;
use rebar_model::{DeploymentName, Seq, World};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::{Params, Segments},
    limits::{LOOK_PAUSE, WAIT, WAIT_MOST},
    status,
    survey::survey,
    types::{DeploymentStatus, Problem, WaitAnswer, WaitGoal, WaitQuery, WaitResult},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(wait))
}

/// What one look found.
struct Look {
    result: Option<WaitResult>,
    status: Option<DeploymentStatus>,
    seq: Seq,
    again_at: Option<Timestamp>,
}

/// Wait until a deployment stands somewhere
#[utoipa::path(get, path = "/deployments/{name}/wait", tag = "deployments",
    params(("name" = String, Path), WaitQuery),
    responses((status = 200, description = "`result` says how it ended", body = WaitAnswer), (status = 404, body = Problem)))]
async fn wait(
    State(app): State<App>,
    Segments(name): Segments<DeploymentName>,
    Params(query): Params<WaitQuery>,
) -> Result<Json<WaitAnswer>, ApiError> {
    let goal = query.goal;
    let deadline = query.timeout.unwrap_or(WAIT).min(WAIT_MOST).after(app.handle.now());
    if goal != WaitGoal::Removed {
        app.handle.read(|world| address::deployment(world, &name).map(|_| ()))?;
    }
    loop {
        let now = app.handle.now();
        let mut look = app.handle.read(|world| look(world, &name, goal, now));
        let over = deadline <= now || app.stop.is_cancelled();
        if let Some(result) = look.result.or(over.then_some(WaitResult::Timeout)) {
            if let Some(status) = &mut look.status {
                status::add_progress(&app.handle, &mut status.node_roles);
            }
            return Ok(Json(WaitAnswer { result, goal, status: look.status }));
        }
        let wake = look.again_at.map_or(deadline, |it| it.min(deadline));
        tokio::select! {
            () = app.news.past(look.seq) => tokio::time::sleep(LOOK_PAUSE).await,
            () = app.clock.sleep_until(wake) => {}
            () = app.stop.cancelled() => {}
        }
    }
}

fn look(world: &World, name: &DeploymentName, goal: WaitGoal, now: Timestamp) -> Look {
    let seq = world.applied();
    let Some(deployment) = world.deployments().get(name) else {
        let result = if goal == WaitGoal::Removed { WaitResult::Reached } else { WaitResult::Unreachable };
        return Look { result: Some(result), status: None, seq, again_at: None };
    };
    let survey = survey(world, deployment, now);
    let reached = match goal {
        WaitGoal::Settled => !survey.moving,
        WaitGoal::Active => survey.active,
        WaitGoal::Removed => false,
    };
    let result = match (reached, survey.moving) {
        (true, _) => Some(WaitResult::Reached),
        (false, false) => Some(WaitResult::Unreachable),
        (false, true) => None,
    };
    let again_at = survey.look_again;
    let status = status::status_of(world, deployment, survey, now);
    Look { result, status: Some(status), seq, again_at }
}
