//! `/deployments/{name}/plan` and `apply`: what would change, and accepting it.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use rebar_model::{Action, DeploymentName, Difference, NodeRoleId, ParameterSpec, Plan, PlanStep, World};
use rebar_scheduler::{Command, Towards};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::{Body, BodyOrDefault, Caller, Segments},
    mask::{mask, refuse_references},
    routes::{revisions::find, verbs::accepted},
    status,
    types::{Accepted, ApplyRequest, PlanStepView, PlanView, Problem, TowardsRequest},
    words,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(make)).routes(routes!(apply))
}

/// Make a plan
///
/// Says what applying the wishes would change, and why; changes nothing. With a body, what applying other wishes would change: those of
/// an earlier revision, another workload version, other parameters.
#[utoipa::path(post, path = "/deployments/{name}/plan", tag = "plans", params(("name" = String, Path)),
    request_body = Option<TowardsRequest>,
    responses((status = 200, body = PlanView), (status = 404, body = Problem),
        (status = 422, description = "with every mistake in `errors`", body = Problem),
        (status = 503, description = "this engine stands by", body = Problem)))]
async fn make(
    State(app): State<App>,
    Segments(name): Segments<DeploymentName>,
    BodyOrDefault(request): BodyOrDefault<Option<TowardsRequest>>,
) -> Result<Json<PlanView>, ApiError> {
    let towards = towards(&app, &name, request).await?;
    let plan = app.handle.plan(&name, towards.as_deref().map(|it| &it.wishes))?;
    Ok(Json(app.handle.read(|world| view(world, &plan))))
}

/// The wishes that are asked about, if they are others than those of now.
async fn towards(
    app: &App,
    name: &DeploymentName,
    request: Option<TowardsRequest>,
) -> Result<Option<Box<Towards>>, ApiError> {
    let now = app.handle.read(|world| address::deployment(world, name).map(|it| rebar_scheduler::wishes(world, it)))?;
    let Some(TowardsRequest { revision, workload, parameters }) = request else { return Ok(None) };
    let mut wishes = match revision {
        Some(no) => find(app, name, no).await?.wishes,
        None => now,
    };
    let asked = app.handle.read(|world| {
        let named = workload.as_deref().map(|it| address::workload(world, it)).transpose()?;
        if let Some(workload) = named {
            wishes.spec.workload = workload.digest;
        }
        Ok::<_, ApiError>(world.workloads().get(&wishes.spec.workload).cloned())
    })?;
    for (name, value) in parameters {
        let secret = asked.as_ref().and_then(|it| it.spec.inputs.get(&name)).is_some_and(ParameterSpec::is_secret);
        match value {
            // Sealed again for each question it would be another value each time.
            Some(_) if secret => return Err(ApiError::Malformed(format!("`{name}` is a secret: set it beforehand"))),
            Some(value) => {
                refuse_references(&value)?;
                wishes.parameters.insert(name, value);
            }
            None => drop(wishes.parameters.remove(&name)),
        }
    }
    Ok(Some(Box::new(Towards { wishes, restores: revision })))
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
        workload: status::workload_ref(world, plan.wishes.spec.workload),
        spec: plan.wishes.spec.clone(),
        leaders: plan.leaders.clone(),
        rewishes: world
            .deployments()
            .get(&plan.deployment)
            .is_some_and(|it| rebar_scheduler::wishes(world, it) != plan.wishes),
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
    let ApplyRequest { plan, grants, allow_protected: allowed, towards: asked } = request;
    let towards = towards(&app, &name, asked).await?;
    let command = Command::Accept { deployment: name.clone(), plan, made: None, towards, grants, allowed };
    app.handle.command(caller.actor, command).await?;
    let location = [(header::LOCATION, format!("/api/v1/deployments/{name}/status"))];
    Ok((StatusCode::ACCEPTED, location, Json(accepted(&app, &name))))
}
