//! `/agents`, `/agent-releases`, `/agent-upgrade`: the agents of nodes, what they can become, and the upgrade of all of them.

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::IntoResponse,
};
use rebar_model::{
    Agent, AgentRelease, AgentUpgrade, MAX_RELEASE_BYTES, NodeMode, NodeName, SignedRelease, Span, StepState,
    UpgradeState, World,
};
use rebar_scheduler::{Command, UpgradeWish};
use semver::Version;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::{Body, Caller, Params, Raw},
    limits::{
        CANARIES, CANARIES_MOST, IN_FLIGHT, IN_FLIGHT_MOST, REPORT_WITHIN, STABLE_FOR, STABLE_FOR_LEAST,
        UPGRADE_SPAN_MOST,
    },
    paging::{limit, page},
    types::{
        AgentBuildView, AgentReleaseView, AgentStanding, AgentView, ImportRelease, Page, PageQuery, Problem,
        StartUpgrade, UpgradeView,
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(releases))
        .routes(routes!(import).layer(DefaultBodyLimit::max(MAX_RELEASE_BYTES)))
        .routes(routes!(upgrade, start))
        .routes(routes!(stop))
}

/// List the agents
#[utoipa::path(get, path = "/agents", tag = "agents", params(PageQuery), responses((status = 200, body = Page<AgentView>)))]
async fn list(State(app): State<App>, Params(query): Params<PageQuery>) -> Result<Json<Page<AgentView>>, ApiError> {
    let token = query.page_token.as_deref().map(address::parse::<NodeName>).transpose()?;
    Ok(Json(app.handle.read(|world| {
        let bounds = (token.as_ref(), limit(query.limit));
        page(world.agents().iter(), bounds, world.applied(), |_, it| view(world, it))
    })))
}

fn view(world: &World, agent: &Agent) -> AgentView {
    let upgrade = world.agent_upgrade();
    let step = agent.step.as_ref().filter(|it| upgrade.is_some_and(|upgrade| upgrade.no == it.upgrade));
    let open = upgrade.filter(|it| it.is_running() && agent.version.as_ref() != Some(&it.version));
    let mut view = AgentView {
        node: agent.node.clone(),
        version: agent.version.clone(),
        here: world.nodes().get(&agent.node).is_some_and(rebar_model::Node::is_here),
        standing: AgentStanding::Idle,
        reason: None,
        code: None,
    };
    match (step.map(|it| &it.state), open) {
        (Some(StepState::Told { .. }), _) => view.standing = AgentStanding::Told,
        (Some(StepState::Watched { .. }), _) => view.standing = AgentStanding::Watched,
        (Some(StepState::Done { .. }), _) if upgrade.is_some_and(|it| agent.version.as_ref() == Some(&it.version)) => {
            view.standing = AgentStanding::Upgraded;
        }
        (Some(StepState::Done { .. }), _) => {
            view.reason = Some("it was the release, and is another one since".to_owned());
        }
        (Some(StepState::Failed { failure, .. }), _) => {
            view.standing = AgentStanding::Failed;
            (view.reason, view.code) = (Some(failure.to_string()), Some(failure.code().to_owned()));
        }
        (None, Some(upgrade)) => {
            view.standing = AgentStanding::Waiting;
            view.reason = Some(waits_for(world, upgrade, &agent.node));
        }
        (None, None) => {}
    }
    view
}

/// Why an agent has not been told yet.
fn waits_for(world: &World, upgrade: &AgentUpgrade, name: &NodeName) -> String {
    let node = world.nodes().get(name);
    match node {
        Some(it) if !it.is_here() => "it is away".to_owned(),
        Some(it) if it.mode != NodeMode::Ready => "its node is in maintenance".to_owned(),
        _ => {
            let platform = node.and_then(|it| rebar_model::ReleasePlatform::of(it.facts.as_ref()?));
            let release = world.agent_releases().get(&upgrade.version);
            match platform {
                None => "its platform is not known yet".to_owned(),
                Some(it) if release.is_none_or(|release| !release.builds.contains_key(&it)) => {
                    format!("the release has no program for {it}")
                }
                Some(_) => "others are before it".to_owned(),
            }
        }
    }
}

/// List the releases of the agent
#[utoipa::path(get, path = "/agent-releases", tag = "agents", params(PageQuery),
    responses((status = 200, body = Page<AgentReleaseView>)))]
async fn releases(
    State(app): State<App>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<AgentReleaseView>>, ApiError> {
    let token = query.page_token.as_deref().map(address::parse::<Version>).transpose()?;
    Ok(Json(app.handle.read(|world| {
        let bounds = (token.as_ref(), limit(query.limit));
        page(world.agent_releases().iter(), bounds, world.applied(), |_, it| release(it))
    })))
}

fn release(release: &AgentRelease) -> AgentReleaseView {
    let builds = release.builds.iter().map(|(platform, it)| AgentBuildView {
        platform: platform.clone(),
        size: it.size,
        sha256: it.sha256,
        key: it.signed.key,
        imported_at: it.imported_at,
    });
    AgentReleaseView { version: release.version.clone(), builds: builds.collect() }
}

/// Import the program of a release of the agent
///
/// The body is the program; the query is what a release key said about it. The same again is no mistake, and changes nothing; another
/// program under the same version and platform is refused.
#[utoipa::path(post, path = "/agent-releases", tag = "agents", params(ImportRelease),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = AgentReleaseView), (status = 409, body = Problem), (status = 413, body = Problem),
        (status = 422, description = "it is not signed by a key that this engine knows, or something else was signed", body = Problem)))]
async fn import(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<ImportRelease>,
    Raw(program): Raw,
) -> Result<impl IntoResponse, ApiError> {
    let seat = app.imports.clone().acquire_owned().await.map_err(|_| ApiError::Busy)?;
    let ImportRelease { statement, key, signature } = query;
    let signed = SignedRelease { statement, key, signature };
    let handle = app.handle.clone();
    let work = async move { Ok(handle.import_release(caller.actor, signed, program.into()).await?) };
    let imported = app.finish(work).await?;
    drop(seat);
    Ok((StatusCode::CREATED, Json(release(&imported))))
}

fn upgrade_view(world: &World) -> Result<UpgradeView, ApiError> {
    let upgrade = world.agent_upgrade().ok_or_else(|| ApiError::not_found("upgrade", "of the agents"))?;
    let (held_by, reason, code) = match &upgrade.state {
        UpgradeState::Held { node, failure, .. } => {
            (Some(node.clone()), Some(failure.to_string()), Some(failure.code().to_owned()))
        }
        UpgradeState::Stopped { by, .. } => (None, Some(format!("stopped by {by}")), None),
        UpgradeState::Running | UpgradeState::Done { .. } => (None, None, None),
    };
    let mine = |it: &&NodeName| world.agents().get(*it).and_then(|it| it.step.as_ref()).map(|it| it.upgrade);
    Ok(UpgradeView {
        no: upgrade.no.0,
        version: upgrade.version.clone(),
        state: upgrade.state.word().to_owned(),
        held_by,
        reason,
        code,
        canaries: upgrade.canaries,
        max_in_flight: upgrade.max_in_flight,
        stable_for: upgrade.stable_for,
        report_within: upgrade.report_within,
        first: upgrade.first.clone(),
        agents: world.agents().len(),
        upgraded: world.agents().values().filter(|it| it.version.as_ref() == Some(&upgrade.version)).count(),
        under_way: world.upgrading().filter(|it| mine(it) == Some(upgrade.no)).count(),
        by: upgrade.by.to_string(),
        started_at: upgrade.started_at,
    })
}

/// Show the last upgrade of the agents
#[utoipa::path(get, path = "/agent-upgrade", tag = "agents",
    responses((status = 200, body = UpgradeView), (status = 404, description = "there was none", body = Problem)))]
async fn upgrade(State(app): State<App>) -> Result<Json<UpgradeView>, ApiError> {
    app.handle.read(upgrade_view).map(Json)
}

/// Upgrade all agents
///
/// A few go first; the others follow, so many at once, when those have stayed connected for a while. One that refuses, goes back
/// to the release before or does not say anything in time holds those that were not told yet.
#[utoipa::path(post, path = "/agent-upgrade", tag = "agents", request_body = StartUpgrade,
    responses((status = 202, body = UpgradeView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn start(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<StartUpgrade>,
) -> Result<impl IntoResponse, ApiError> {
    let StartUpgrade { version, canaries, max_in_flight, stable_for, report_within } = request;
    let wish = UpgradeWish {
        version,
        canaries: within("canaries", canaries.unwrap_or(CANARIES), CANARIES_MOST)?,
        max_in_flight: within("max_in_flight", max_in_flight.unwrap_or(IN_FLIGHT), IN_FLIGHT_MOST)?,
        stable_for: between("stable_for", stable_for.unwrap_or(STABLE_FOR), STABLE_FOR_LEAST)?,
        report_within: between("report_within", report_within.unwrap_or(REPORT_WITHIN), Span::from_secs(1))?,
    };
    app.handle.command(caller.actor, Command::UpgradeAgents { wish }).await?;
    Ok((StatusCode::ACCEPTED, Json(app.handle.read(upgrade_view)?)))
}

fn within(what: &str, count: u32, most: u32) -> Result<u32, ApiError> {
    if (1..=most).contains(&count) {
        return Ok(count);
    }
    Err(ApiError::Malformed(format!("{what} is {count}, and has to be 1 to {most}")))
}

fn between(what: &str, span: Span, least: Span) -> Result<Span, ApiError> {
    if (least..=UPGRADE_SPAN_MOST).contains(&span) {
        return Ok(span);
    }
    Err(ApiError::Malformed(format!("{what} is {span}, and has to be {least} to {UPGRADE_SPAN_MOST}")))
}

/// Tell no further agent of the upgrade
///
/// Agents that were told before go on; the others stay as they are.
#[utoipa::path(post, path = "/agent-upgrade/stop", tag = "agents",
    responses((status = 202, body = UpgradeView), (status = 409, body = Problem)))]
async fn stop(State(app): State<App>, caller: Caller) -> Result<impl IntoResponse, ApiError> {
    app.handle.command(caller.actor, Command::StopUpgrade).await?;
    Ok((StatusCode::ACCEPTED, Json(app.handle.read(upgrade_view)?)))
}
