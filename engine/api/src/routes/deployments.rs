//! `/deployments`: what is wished for, how it stands, what it offers. What people have it do is `verbs.rs`, plans are `plans.rs`, those
//! that were accepted `revisions.rs`.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use rebar_model::{DeploymentName, DeploymentSpec, Digest, Ident, ParameterScope, ParameterSpec, World};
use rebar_scheduler::Command;
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::{Body, Caller, Params, Segments},
    mask::mask,
    outputs,
    paging::{limit, page},
    secrets, status,
    types::{
        ChangeDeployment, CreateDeployment, DeploymentStatus, DeploymentSummary, DeploymentView, OutputView,
        OutputsQuery, Page, PageQuery, Problem,
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change))
        .routes(routes!(get_status))
        .routes(routes!(list_outputs))
}

/// The version of the wishes of a deployment.
fn etag(spec: &DeploymentSpec) -> String {
    format!("\"{}\"", Digest::of_json(spec).short())
}

fn view(app: &App, name: &DeploymentName) -> Result<DeploymentView, ApiError> {
    let status = status::status(&app.handle, name)?;
    app.handle.read(|world| {
        let spec = address::deployment(world, name)?.spec.clone();
        let applied = world.revision(name).map(|it| it.wishes.spec.clone());
        Ok(DeploymentView { etag: etag(&spec), spec, applied, status })
    })
}

/// List the deployments
#[utoipa::path(get, path = "/deployments", tag = "deployments", params(PageQuery),
    responses((status = 200, body = Page<DeploymentSummary>)))]
async fn list(
    State(app): State<App>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<DeploymentSummary>>, ApiError> {
    let token = query.page_token.as_deref().map(address::parse).transpose()?;
    let now = app.handle.now();
    Ok(Json(app.handle.read(|world| {
        let bounds = (token.as_ref(), limit(query.limit));
        page(world.deployments().iter(), bounds, world.applied(), |_, it| status::summary(world, it, now))
    })))
}

/// Make a deployment
///
/// Nothing runs before a plan of it is applied.
#[utoipa::path(post, path = "/deployments", tag = "deployments", request_body = CreateDeployment,
    responses((status = 201, body = DeploymentView), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<CreateDeployment>,
) -> Result<impl IntoResponse, ApiError> {
    let CreateDeployment { name, workload, groups, profiles, parameters } = request;
    let workload = app.handle.read(|world| address::workload(world, &workload).cloned())?;
    let is_secret = |name: &Ident| workload.spec.inputs.get(name).is_some_and(ParameterSpec::is_secret);
    let mut kept = BTreeMap::new();
    for (name, value) in parameters {
        let secret = is_secret(&name);
        kept.insert(name, secrets::keep(&app.handle, value, secret).await?);
    }
    let spec = DeploymentSpec { workload: workload.digest, groups, profiles };
    let handle = app.handle.clone();
    let made = name.clone();
    // Deployment and parameters are several changes; a client that goes away should not leave half of them.
    app.finish(async move {
        handle.command(caller.actor.clone(), Command::CreateDeployment { name: made.clone(), spec }).await?;
        let scope = ParameterScope::Deployment(made);
        for (name, value) in kept {
            let command = Command::SetParameter { scope: scope.clone(), name, value: Some(value) };
            handle.command(caller.actor.clone(), command).await?;
        }
        Ok(())
    })
    .await?;
    let view = view(&app, &name)?;
    let headers = [(header::LOCATION, format!("/api/v1/deployments/{name}")), (header::ETAG, view.etag.clone())];
    Ok((StatusCode::CREATED, headers, Json(view)))
}

/// Show a deployment
#[utoipa::path(get, path = "/deployments/{name}", tag = "deployments", params(("name" = String, Path)),
    responses((status = 200, body = DeploymentView), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, Segments(name): Segments<DeploymentName>) -> Result<impl IntoResponse, ApiError> {
    let view = view(&app, &name)?;
    Ok(([(header::ETAG, view.etag.clone())], Json(view)))
}

/// Change what is wished for
///
/// The next accepted plan makes it true.
#[utoipa::path(patch, path = "/deployments/{name}", tag = "deployments",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header, description = "the `etag` that was read")),
    request_body = ChangeDeployment,
    responses((status = 200, body = DeploymentView), (status = 404, body = Problem), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Segments(name): Segments<DeploymentName>,
    Body(change): Body<ChangeDeployment>,
) -> Result<impl IntoResponse, ApiError> {
    let one_at_a_time = app.changing.lock().await;
    let spec = app.handle.read(|world| {
        let spec = &address::deployment(world, &name)?.spec;
        refuse_moved(&headers, spec)?;
        changed(world, spec, change)
    })?;
    app.handle.command(caller.actor, Command::ChangeDeployment { name: name.clone(), spec }).await?;
    drop(one_at_a_time);
    let view = view(&app, &name)?;
    Ok(([(header::ETAG, view.etag.clone())], Json(view)))
}

fn refuse_moved(headers: &HeaderMap, spec: &DeploymentSpec) -> Result<(), ApiError> {
    let Some(wanted) = headers.get(header::IF_MATCH) else { return Ok(()) };
    let (wanted, current) = (wanted.to_str().unwrap_or_default(), etag(spec));
    let same = wanted.split(',').map(str::trim).any(|it| it == "*" || it == current);
    if same { Ok(()) } else { Err(ApiError::Moved { current }) }
}

fn changed(world: &World, spec: &DeploymentSpec, change: ChangeDeployment) -> Result<DeploymentSpec, ApiError> {
    let ChangeDeployment { workload, groups, profiles } = change;
    let workload = match workload {
        Some(text) => address::workload(world, &text)?.digest,
        None => spec.workload,
    };
    Ok(DeploymentSpec {
        workload,
        groups: groups.unwrap_or_else(|| spec.groups.clone()),
        profiles: profiles.unwrap_or_else(|| spec.profiles.clone()),
    })
}

/// Show how a deployment stands
#[utoipa::path(get, path = "/deployments/{name}/status", tag = "deployments", params(("name" = String, Path)),
    responses((status = 200, body = DeploymentStatus), (status = 404, body = Problem)))]
async fn get_status(
    State(app): State<App>,
    Segments(name): Segments<DeploymentName>,
) -> Result<Json<DeploymentStatus>, ApiError> {
    Ok(Json(status::status(&app.handle, &name)?))
}

/// List what a deployment offers
#[utoipa::path(get, path = "/deployments/{name}/outputs", tag = "deployments",
    params(("name" = String, Path), OutputsQuery),
    responses((status = 200, body = Page<OutputView>), (status = 404, body = Problem)))]
async fn list_outputs(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<DeploymentName>,
    Params(query): Params<OutputsQuery>,
) -> Result<Json<Page<OutputView>>, ApiError> {
    let (outputs, revision) = app.handle.read(|world| {
        let deployment = address::deployment(world, &name)?;
        Ok::<_, ApiError>((outputs::outputs(world, deployment), world.applied()))
    })?;
    if query.reveal {
        let names: Vec<_> = outputs.iter().filter(|it| it.secret).map(|it| it.name.as_str()).collect();
        tracing::info!(target: "audit", by = %caller.actor, token = %caller.token, deployment = %name, outputs = ?names,
            "secrets revealed");
    }
    let mut items = Vec::new();
    for output in outputs {
        let value = match &output.value {
            Some(value) if query.reveal => Some(reveal(&app, value).await?),
            Some(value) => Some(hide(value, output.secret)),
            None => None,
        };
        let outputs::Output { name, secret, description, origin, .. } = output;
        items.push(OutputView { name, value, secret, description, origin });
    }
    Ok(Json(Page { items, next_page_token: None, revision }))
}

/// A value with its secrets opened, also inside of arrays and objects.
async fn reveal(app: &App, value: &Value) -> Result<Value, ApiError> {
    let mut opened = BTreeMap::new();
    for reference in rebar_model::secret_refs(value) {
        let plain = app.handle.open(&reference.to_value()).await?;
        opened.insert(reference, plain);
    }
    Ok(crate::mask::replace(value, &|it| opened.get(it).cloned().unwrap_or(Value::Null)))
}

/// A value with its secrets masked; one that is declared a secret and was given openly is hidden as well.
fn hide(value: &Value, secret: bool) -> Value {
    if secret && !crate::mask::is_secret(value) { serde_json::json!({"secret": true}) } else { mask(value) }
}
