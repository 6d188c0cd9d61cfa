//! `/parameters`: values that people set, at their levels. The level `global` has one segment in the URL, all others two.

use axum::{Json, extract::State, http::StatusCode};
use rebar_model::{Actor, Ident, Parameter, ParameterScope};
use rebar_scheduler::Command;
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::{Body, Caller, Params, Segments},
    mask::{is_secret, mask},
    paging::limit,
    secrets,
    types::{Page, ParameterView, ParametersQuery, Problem, SetParameter},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(set_global, unset_global)).routes(routes!(set, unset))
}

fn view(scope: &ParameterScope, name: &Ident, parameter: &Parameter) -> ParameterView {
    ParameterView {
        scope: scope.clone(),
        name: name.clone(),
        value: mask(&parameter.value),
        secret: is_secret(&parameter.value),
        by: parameter.by.clone(),
        at: parameter.at,
    }
}

/// List the parameters
#[utoipa::path(get, path = "/parameters", tag = "parameters", params(ParametersQuery),
    responses((status = 200, body = Page<ParameterView>), (status = 400, body = Problem)))]
async fn list(
    State(app): State<App>,
    Params(query): Params<ParametersQuery>,
) -> Result<Json<Page<ParameterView>>, ApiError> {
    let after = query.page_token.as_deref().map(key).transpose()?;
    let limit = limit(query.limit);
    Ok(Json(app.handle.read(|world| {
        let mut rest = world
            .parameters()
            .iter()
            .filter(|(scope, _)| query.scope.as_ref().is_none_or(|it| it == *scope))
            .flat_map(|(scope, set)| set.iter().map(move |(name, it)| (scope, name, it)))
            .skip_while(|(scope, name, _)| after.as_ref().is_some_and(|(s, n)| (*scope, *name) <= (s, n)));
        let items: Vec<_> = rest.by_ref().take(limit).map(|(scope, name, it)| view(scope, name, it)).collect();
        let last = rest.next().and(items.last());
        let next_page_token = last.map(|it| format!("{}/{}", it.scope, it.name));
        Page { items, next_page_token, revision: world.applied() }
    })))
}

/// The scope and name that a page token says.
fn key(token: &str) -> Result<(ParameterScope, Ident), ApiError> {
    let (scope, name) = token.rsplit_once('/').unwrap_or_default();
    Ok((address::parse(scope)?, address::parse(name)?))
}

/// Set a parameter for everything
#[utoipa::path(put, path = "/parameters/global/{name}", tag = "parameters", params(("name" = String, Path)),
    request_body = SetParameter, responses((status = 200, body = ParameterView), (status = 422, body = Problem)))]
async fn set_global(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<Ident>,
    Body(request): Body<SetParameter>,
) -> Result<Json<ParameterView>, ApiError> {
    put(&app, caller.actor, ParameterScope::Global, name, request).await
}

/// Set a parameter for a profile, a deployment or a node
#[utoipa::path(put, path = "/parameters/{level}/{owner}/{name}", tag = "parameters",
    params(("level" = String, Path, description = "`profile`, `deployment` or `node`"), ("owner" = String, Path),
        ("name" = String, Path)),
    request_body = SetParameter,
    responses((status = 200, body = ParameterView), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn set(
    State(app): State<App>,
    caller: Caller,
    Segments((level, owner, name)): Segments<(String, String, Ident)>,
    Body(request): Body<SetParameter>,
) -> Result<Json<ParameterView>, ApiError> {
    put(&app, caller.actor, address::parse(&format!("{level}/{owner}"))?, name, request).await
}

/// Unset a parameter for everything
#[utoipa::path(delete, path = "/parameters/global/{name}", tag = "parameters", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn unset_global(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<Ident>,
) -> Result<StatusCode, ApiError> {
    delete(&app, caller.actor, ParameterScope::Global, name).await
}

/// Unset a parameter of a profile, a deployment or a node
#[utoipa::path(delete, path = "/parameters/{level}/{owner}/{name}", tag = "parameters",
    params(("level" = String, Path), ("owner" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn unset(
    State(app): State<App>,
    caller: Caller,
    Segments((level, owner, name)): Segments<(String, String, Ident)>,
) -> Result<StatusCode, ApiError> {
    delete(&app, caller.actor, address::parse(&format!("{level}/{owner}"))?, name).await
}

async fn put(
    app: &App,
    by: Actor,
    scope: ParameterScope,
    name: Ident,
    request: SetParameter,
) -> Result<Json<ParameterView>, ApiError> {
    let declared = app.handle.read(|world| secrets::is_declared(world, &scope, &name));
    let value = secrets::keep(&app.handle, request.value, request.secret || declared).await?;
    command(app, by, &scope, &name, Some(value)).await?;
    let set = app.handle.read(|world| world.parameter(&scope, &name).map(|it| view(&scope, &name, it)));
    set.map(Json).ok_or_else(|| ApiError::not_found("parameter", name))
}

async fn delete(app: &App, by: Actor, scope: ParameterScope, name: Ident) -> Result<StatusCode, ApiError> {
    if app.handle.read(|world| world.parameter(&scope, &name).is_none()) {
        return Err(ApiError::not_found("parameter", format!("{scope}/{name}")));
    }
    command(app, by, &scope, &name, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn command(
    app: &App,
    by: Actor,
    scope: &ParameterScope,
    name: &Ident,
    value: Option<Value>,
) -> Result<(), ApiError> {
    let command = Command::SetParameter { scope: scope.clone(), name: name.clone(), value };
    Ok(app.handle.command(by, command).await?)
}
