//! `/deployments/{name}/plan` and `apply`: what would change, and accepting it.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use rebar_model::{Action, DeploymentName, Difference, NodeRoleId, Plan, PlanStep, World};
use rebar_scheduler::Command;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::{Body, Caller, Segments},
    mask::mask,
    routes::verbs::accepted,
    status,
    types::{Accepted, ApplyRequest, PlanStepView, PlanView, Problem},
    words,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(make)).routes(routes!(apply))
}

/// Make a plan
///
/// Says what applying the wishes would change, and why; changes nothing.
#[utoipa::path(post, path = "/deployments/{name}/plan", tag = "plans", params(("name" = String, Path)),
    responses((status = 200, body = PlanView), (status = 404, body = Problem),
        (status = 422, description = "with every mistake in `errors`", body = Problem),
        (status = 503, description = "this engine stands by", body = Problem)))]
async fn make(State(app): State<App>, Segments(name): Segments<DeploymentName>) -> Result<Json<PlanView>, ApiError> {
    app.handle.read(|world| address::deployment(world, &name).map(|_| ()))?;
    let plan = app.handle.plan(&name)?;
    Ok(Json(app.handle.read(|world| view(world, &plan))))
}

fn view(world: &World, plan: &Plan) -> PlanView {
    let mut counts = BTreeMap::new();
    for step in &plan.steps {
        *counts.entry(step.action).or_default() += 1;
    }
    PlanView {
        id: plan.id,
        deployment: plan.deployment.clone(),
        base: plan.base,
        workload: status::workload_ref(world, plan.spec.workload),
        spec: plan.spec.clone(),
        leaders: plan.leaders.clone(),
        changes: counts.keys().any(|it| !matches!(it, Action::Keep | Action::Maybe)),
        counts,
        destructive: plan.destructive.clone(),
        protected: plan.protected.clone(),
        steps: plan.steps.iter().map(|it| step_view(world, it)).collect(),
    }
}

fn step_view(world: &World, step: &PlanStep) -> PlanStepView {
    let spec = &step.spec;
    let requires: BTreeSet<&NodeRoleId> = spec.requires.iter().flat_map(|it| &it.candidates).collect();
    let masked = |it: &Difference| Difference {
        before: it.before.as_ref().map(mask),
        after: it.after.as_ref().map(mask),
        ..it.clone()
    };
    PlanStepView {
        id: spec.id.clone(),
        address: spec.id.local(),
        role: spec.id.role.clone(),
        node: spec.id.node().cloned(),
        group: spec.group.clone(),
        ordinal: spec.ordinal,
        depth: step.depth,
        action: step.action,
        destructive: world.role_of(spec).is_some_and(|it| it.manifest.spec.destructive),
        undoes: step.undoes,
        why: words::step(step),
        differences: step.differences.iter().map(masked).collect(),
        requires: requires.into_iter().cloned().collect(),
    }
}

/// Accept a plan
///
/// Refused if the same wishes would give another plan by now.
#[utoipa::path(post, path = "/deployments/{name}/apply", tag = "plans", params(("name" = String, Path)),
    request_body = ApplyRequest,
    responses((status = 202, body = Accepted),
        (status = 403, description = "a destructive role was not granted, or a protected one not named", body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, description = "the plan is stale", body = Problem), (status = 422, body = Problem)))]
async fn apply(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<DeploymentName>,
    Body(request): Body<ApplyRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let ApplyRequest { plan, grants, allow_protected } = request;
    let command = Command::Accept { deployment: name.clone(), plan, made: None, grants, allowed: allow_protected };
    app.handle.command(caller.actor, command).await?;
    let location = [(header::LOCATION, format!("/api/v1/deployments/{name}/status"))];
    Ok((StatusCode::ACCEPTED, location, Json(accepted(&app, &name))))
}
