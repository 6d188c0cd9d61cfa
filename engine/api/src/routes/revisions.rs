//! `/deployments/{name}/revisions`: the accepted plans, and what differs between two of them. Going back to one is a plan towards it,
//! see `plans.rs`.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use rebar_model::{DeploymentName, Revision, RevisionNo, Seq, Wishes, World};
use rebar_ports::RevisionQuery;
use rebar_scheduler::Refusal;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::{Params, Segments},
    mask::mask,
    paging::limit,
    status,
    types::{
        DiffQuery, GroupChange, Page, PageQuery, ParameterChange, Problem, ProfilesChange, RevisionDiff, RevisionView,
        WorkloadChange,
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(diff))
}

/// List the accepted plans of a deployment, the newest first
#[utoipa::path(get, path = "/deployments/{name}/revisions", tag = "deployments",
    params(("name" = String, Path), PageQuery),
    responses((status = 200, body = Page<RevisionView>), (status = 404, body = Problem)))]
async fn list(
    State(app): State<App>,
    Segments(name): Segments<DeploymentName>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<RevisionView>>, ApiError> {
    let (head, created) = app.handle.read(|world| {
        let deployment = address::deployment(world, &name)?;
        Ok::<_, ApiError>((world.applied(), deployment.created_at))
    })?;
    let before = query.page_token.as_deref().map(address::parse).transpose()?.map(Seq);
    let limit = limit(query.limit);
    let asked = RevisionQuery { deployment: name, no: None, before, limit: u32::try_from(limit).unwrap_or(u32::MAX) };
    let found = app.handle.store().revisions(asked).await?;
    let full = found.len() == limit;
    // One of the same name may have been before; its revisions are not those of this one.
    let own: Vec<_> = found.into_iter().take_while(|(_, it)| it.at >= created).collect();
    let next_page_token = own.last().filter(|_| full && own.len() == limit).map(|(seq, _)| seq.to_string());
    let items = app.handle.read(|world| own.iter().map(|(_, it)| view(world, it)).collect());
    Ok(Json(Page { items, next_page_token, revision: head }))
}

/// Show an accepted plan
#[utoipa::path(get, path = "/deployments/{name}/revisions/{no}", tag = "deployments",
    params(("name" = String, Path), ("no" = u64, Path)),
    responses((status = 200, body = RevisionView), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    Segments((name, no)): Segments<(DeploymentName, RevisionNo)>,
) -> Result<Json<RevisionView>, ApiError> {
    let revision = find(&app, &name, no).await?;
    Ok(Json(app.handle.read(|world| view(world, &revision))))
}

/// Show what differs between two accepted plans
///
/// Without `from`, between the plan and the one before it.
#[utoipa::path(get, path = "/deployments/{name}/revisions/{no}/diff", tag = "deployments",
    params(("name" = String, Path), ("no" = u64, Path), DiffQuery),
    responses((status = 200, body = RevisionDiff), (status = 404, body = Problem)))]
async fn diff(
    State(app): State<App>,
    Segments((name, no)): Segments<(DeploymentName, RevisionNo)>,
    Params(query): Params<DiffQuery>,
) -> Result<Json<RevisionDiff>, ApiError> {
    let to = find(&app, &name, no).await?;
    let from = match query.from.unwrap_or(RevisionNo(no.0.saturating_sub(1))) {
        RevisionNo(0) => None,
        from => Some(find(&app, &name, from).await?),
    };
    Ok(Json(app.handle.read(|world| differences(world, from.as_ref(), &to))))
}

/// An accepted plan of a deployment, and not of one before it that had the same name.
pub(super) async fn find(app: &App, name: &DeploymentName, no: RevisionNo) -> Result<Revision, ApiError> {
    let created = app.handle.read(|world| address::deployment(world, name).map(|it| it.created_at))?;
    let query = RevisionQuery { deployment: name.clone(), no: Some(no), before: None, limit: 1 };
    let found = app.handle.store().revisions(query).await?.into_iter().map(|(_, it)| it).find(|it| it.at >= created);
    let missing = || Refusal::NotFound { kind: "revision", name: format!("{no} of {name}") };
    Ok(found.ok_or_else(missing)?)
}

fn view(world: &World, revision: &Revision) -> RevisionView {
    let Revision { deployment, no, wishes, restores, plan, by, at, touched } = revision.clone();
    let Wishes { spec, parameters } = wishes;
    RevisionView {
        no,
        by,
        at,
        plan,
        workload: status::workload_ref(world, spec.workload),
        spec,
        parameters: parameters.iter().map(|(name, value)| (name.clone(), mask(value))).collect(),
        restores,
        touched,
        current: world.deployments().get(&deployment).is_some_and(|it| it.revision == no),
    }
}

fn differences(world: &World, from: Option<&Revision>, to: &Revision) -> RevisionDiff {
    let nothing = Wishes {
        spec: rebar_model::DeploymentSpec { groups: BTreeMap::new(), profiles: Vec::new(), ..to.wishes.spec.clone() },
        parameters: BTreeMap::new(),
    };
    let (before, after) = (from.map_or(&nothing, |it| &it.wishes), &to.wishes);
    let other_workload = from.is_none_or(|it| it.wishes.spec.workload != after.spec.workload);
    let workload = other_workload.then(|| WorkloadChange {
        before: from.map(|it| status::workload_ref(world, it.wishes.spec.workload)),
        after: status::workload_ref(world, after.spec.workload),
    });
    let profiles = (before.spec.profiles != after.spec.profiles)
        .then(|| ProfilesChange { before: before.spec.profiles.clone(), after: after.spec.profiles.clone() });
    RevisionDiff {
        from: from.map(|it| it.no).unwrap_or_default(),
        to: to.no,
        workload,
        groups: groups(before, after),
        profiles,
        parameters: parameters(before, after),
    }
}

fn groups(before: &Wishes, after: &Wishes) -> BTreeMap<rebar_model::GroupName, GroupChange> {
    let names = before.spec.groups.keys().chain(after.spec.groups.keys());
    let empty = Vec::new();
    let change = |name: &rebar_model::GroupName| {
        let [before, after] = [before, after].map(|it| it.spec.groups.get(name).unwrap_or(&empty));
        let stayed = before.iter().filter(|it| after.contains(it));
        GroupChange {
            added: after.iter().filter(|it| !before.contains(it)).cloned().collect(),
            removed: before.iter().filter(|it| !after.contains(it)).cloned().collect(),
            reordered: stayed.ne(after.iter().filter(|it| before.contains(it))),
        }
    };
    let differs = |it: &GroupChange| it.reordered || !it.added.is_empty() || !it.removed.is_empty();
    names.map(|name| (name.clone(), change(name))).filter(|(_, it)| differs(it)).collect()
}

fn parameters(before: &Wishes, after: &Wishes) -> BTreeMap<rebar_model::Ident, ParameterChange> {
    let names = before.parameters.keys().chain(after.parameters.keys());
    let changed = names.filter(|it| before.parameters.get(*it) != after.parameters.get(*it));
    changed
        .map(|name| {
            let [before, after] = [before, after].map(|it| it.parameters.get(name).map(mask));
            (name.clone(), ParameterChange { before, after })
        })
        .collect()
}
