//! `/workloads`: workload versions that were imported.

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    response::IntoResponse,
};
use rebar_manifest::Package;
use rebar_model::{Digest, Taken, Workload, World};
use rebar_scheduler::Command;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::{Caller, Params, Raw, Segments},
    limits::PACKAGE_BODY,
    paging::{limit, page},
    types::{Page, PageQuery, Problem, UsedWorkload, WorkloadSummary, WorkloadView},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(import).layer(DefaultBodyLimit::max(PACKAGE_BODY)))
        .routes(routes!(get, remove))
}

fn summary(world: &World, workload: &Workload) -> WorkloadSummary {
    let uses = |digest: Digest| digest == workload.digest;
    let deployments = world.deployments().values().filter(|it| {
        uses(it.spec.workload) || world.revision(&it.name).is_some_and(|it| uses(it.wishes.spec.workload))
    });
    WorkloadSummary {
        reference: workload.reference(),
        digest: workload.digest,
        name: workload.metadata.name.clone(),
        version: workload.metadata.version.to_string(),
        title: workload.metadata.title.clone(),
        summary: workload.metadata.summary.clone(),
        groups: workload.spec.groups.keys().cloned().collect(),
        roles: workload.roles.keys().cloned().collect(),
        uses: workload.taken.iter().map(used).collect(),
        deployments: deployments.map(|it| it.name.clone()).collect(),
    }
}

fn used(taken: &Taken) -> UsedWorkload {
    UsedWorkload { reference: taken.reference(), digest: taken.digest }
}

/// List the workload versions
#[utoipa::path(get, path = "/workloads", tag = "workloads", params(PageQuery),
    responses((status = 200, body = Page<WorkloadSummary>)))]
async fn list(
    State(app): State<App>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<WorkloadSummary>>, ApiError> {
    let token = query.page_token.as_deref().map(address::parse).transpose()?;
    let page = app.handle.read(|world| {
        let bounds = (token.as_ref(), limit(query.limit));
        page(world.workloads().iter(), bounds, world.applied(), |_, it| summary(world, it))
    });
    Ok(Json(page))
}

/// Show a workload version
#[utoipa::path(get, path = "/workloads/{reference}", tag = "workloads",
    params(("reference" = String, Path, description = "`name@version`, a digest, or a name of which there is one version")),
    responses((status = 200, body = WorkloadView), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, Segments(reference): Segments<String>) -> Result<Json<WorkloadView>, ApiError> {
    app.handle.read(|world| {
        let workload = address::workload(world, &reference)?;
        Ok(Json(WorkloadView { summary: summary(world, workload), workload: (**workload).clone() }))
    })
}

/// Import a workload package
///
/// The body is a tar archive of the package's directory. What it uses has to be imported before: the highest versions that meet its
/// `uses` are taken, and remembered. The same package again is no mistake, and changes nothing; another one under the same name and
/// version is refused.
#[utoipa::path(post, path = "/workloads", tag = "workloads",
    request_body(content = Vec<u8>, content_type = "application/x-tar"),
    responses((status = 201, body = WorkloadSummary), (status = 200, description = "it was there", body = WorkloadSummary),
        (status = 409, body = Problem), (status = 413, body = Problem),
        (status = 422, description = "with every mistake and its place in `errors`", body = Problem)))]
async fn import(State(app): State<App>, caller: Caller, Raw(archive): Raw) -> Result<impl IntoResponse, ApiError> {
    let seat = app.imports.clone().acquire_owned().await.map_err(|_| ApiError::Busy)?;
    let read = tokio::task::spawn_blocking(move || Package::from_tar(&archive)).await;
    let package = read.map_err(|_| ApiError::Broken)?.map_err(ApiError::Package)?;
    let known = app.handle.read(|world| world.workloads().contains_key(&package.digest()));
    let handle = app.handle.clone();
    let workload = app.finish(async move { Ok(handle.import(caller.actor, package).await?) }).await?;
    drop(seat);
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    let location = [(header::LOCATION, format!("/api/v1/workloads/{}", workload.reference()))];
    Ok((status, location, Json(app.handle.read(|world| summary(world, &workload)))))
}

/// Forget a workload version
#[utoipa::path(delete, path = "/workloads/{reference}", tag = "workloads",
    params(("reference" = String, Path, description = "`name@version` or a digest")),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Segments(reference): Segments<String>,
) -> Result<StatusCode, ApiError> {
    let digest = app.handle.read(|world| address::workload(world, &reference).map(|it| it.digest))?;
    app.handle.command(caller.actor, Command::RemoveWorkload { digest }).await?;
    Ok(StatusCode::NO_CONTENT)
}
