//! `/nodes`: machines under care.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use rebar_model::{Connection, Node, NodeMode, NodeName, World};
use rebar_orchestrator::{AddNode, ENROL_TOKEN_TTL};
use rebar_scheduler::{Command, NodeRemoval};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::{Body, Caller, Params, Segments},
    labels::Selector,
    paging::{limit, page},
    types::{
        AddNodeRequest, AddedNodeView, ChangeNode, EnrolmentView, NodeStanding, NodeView, NodesQuery, Page, Problem,
        RemoveNodeQuery,
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(get, change, remove)).routes(routes!(renew_token))
}

fn view(world: &World, node: &Node) -> NodeView {
    let standing = match (&node.mode, &node.connection) {
        (NodeMode::Maintenance { .. }, _) => NodeStanding::Maintenance,
        (NodeMode::Ready, Connection::Here { .. }) => NodeStanding::Ready,
        (NodeMode::Ready, Connection::Never) => NodeStanding::Expected,
        (NodeMode::Ready, Connection::Away { .. }) => NodeStanding::Away,
    };
    let uses = |spec: &rebar_model::DeploymentSpec| spec.groups.values().flatten().any(|it| *it == node.name);
    let deployments = world
        .deployments()
        .values()
        .filter(|it| uses(&it.spec) || world.revision(&it.name).is_some_and(|it| uses(&it.wishes.spec)));
    NodeView {
        standing,
        address: node.primary_address(),
        deployments: deployments.map(|it| it.name.clone()).collect(),
        running: world.running_on(Some(&node.name)).count(),
        node: node.clone(),
    }
}

fn find(app: &App, name: &NodeName) -> Result<NodeView, ApiError> {
    let found = app.handle.read(|world| world.nodes().get(name).map(|it| view(world, it)));
    found.ok_or_else(|| ApiError::not_found("node", name))
}

/// List the nodes
#[utoipa::path(get, path = "/nodes", tag = "nodes", params(NodesQuery),
    responses((status = 200, body = Page<NodeView>), (status = 400, body = Problem)))]
async fn list(State(app): State<App>, Params(query): Params<NodesQuery>) -> Result<Json<Page<NodeView>>, ApiError> {
    let selector: Selector = address::parse(query.label.as_deref().unwrap_or_default())?;
    let token = query.page_token.as_deref().map(address::parse).transpose()?;
    let page = app.handle.read(|world| {
        let chosen = world.nodes().iter().filter(|(_, it)| selector.matches(&it.labels));
        page(chosen, (token.as_ref(), limit(query.limit)), world.applied(), |_, node| view(world, node))
    });
    Ok(Json(page))
}

/// Show a node
#[utoipa::path(get, path = "/nodes/{name}", tag = "nodes", params(("name" = String, Path)),
    responses((status = 200, body = NodeView), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, Segments(name): Segments<NodeName>) -> Result<Json<NodeView>, ApiError> {
    Ok(Json(find(&app, &name)?))
}

/// Take a machine under care
#[utoipa::path(post, path = "/nodes", tag = "nodes", request_body = AddNodeRequest,
    responses((status = 201, body = AddedNodeView), (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 502, body = Problem)))]
async fn add(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<AddNodeRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let AddNodeRequest { name, provider, labels, profiles, options } = request;
    let request = AddNode { name: name.clone(), provider, labels, profiles, options };
    let handle = app.handle.clone();
    let added = app.finish(async move { Ok(handle.add_node(caller.actor, request).await?) }).await?;
    let location = [(header::LOCATION, format!("/api/v1/nodes/{name}"))];
    let node = app.handle.read(|world| view(world, &added.node));
    Ok((StatusCode::CREATED, location, Json(AddedNodeView { node, instruction: added.instruction })))
}

/// Change labels, profiles or maintenance of a node
#[utoipa::path(patch, path = "/nodes/{name}", tag = "nodes", params(("name" = String, Path)),
    request_body = ChangeNode, responses((status = 200, body = NodeView), (status = 404, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<NodeName>,
    Body(change): Body<ChangeNode>,
) -> Result<Json<NodeView>, ApiError> {
    find(&app, &name)?;
    let ChangeNode { labels, profiles, maintenance } = change;
    if !labels.is_empty() || profiles.is_some() {
        let labels = labels.into_iter().collect();
        let command = Command::ChangeNode { node: name.clone(), labels, profiles };
        app.handle.command(caller.actor.clone(), command).await?;
    }
    if let Some(maintenance) = maintenance {
        let mode = maintenance.map_or(NodeMode::Ready, |it| NodeMode::Maintenance { reason: it.reason });
        app.handle.command(caller.actor, Command::SetNodeMode { node: name.clone(), mode }).await?;
    }
    Ok(Json(find(&app, &name)?))
}

/// Forget a node, and destroy its machine where Rebar made it
#[utoipa::path(delete, path = "/nodes/{name}", tag = "nodes", params(("name" = String, Path), RemoveNodeQuery),
    responses((status = 204), (status = 403, description = "a protected role was not named", body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<NodeName>,
    Params(query): Params<RemoveNodeQuery>,
) -> Result<StatusCode, ApiError> {
    let removal = if query.gone {
        let named = query.allow_protected.iter().flat_map(|it| it.split(',')).filter(|it| !it.is_empty());
        NodeRemoval::Gone { allowed: named.map(address::parse).collect::<Result<_, _>>()? }
    } else {
        NodeRemoval::Orderly
    };
    let handle = app.handle.clone();
    app.finish(async move { Ok(handle.remove_node(caller.actor, name, removal).await?) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a new one-time token for the agent of a node
#[utoipa::path(post, path = "/nodes/{name}/token", tag = "nodes", params(("name" = String, Path)),
    responses((status = 201, body = EnrolmentView), (status = 404, body = Problem)))]
async fn renew_token(
    State(app): State<App>,
    caller: Caller,
    Segments(name): Segments<NodeName>,
) -> Result<impl IntoResponse, ApiError> {
    let expires_at = ENROL_TOKEN_TTL.after(app.handle.now());
    let ticket = app.handle.renew_token(caller.actor, &name).await?;
    // The token goes by the environment: command lines are seen by everybody on a machine.
    let keys: Vec<String> = ticket.release_keys.iter().map(|it| format!(" --release-key {it}")).collect();
    let keys = keys.concat();
    let instruction = format!(
        "REBAR_ENROL_TOKEN={} rebar-agent enrol --engine {} --ca-fingerprint {}{keys} && rebar-agent install",
        ticket.token, ticket.engine, ticket.ca_fingerprint
    );
    let view = EnrolmentView {
        node: name,
        engine: ticket.engine,
        token: ticket.token,
        ca_fingerprint: ticket.ca_fingerprint,
        expires_at,
        instruction,
    };
    Ok((StatusCode::CREATED, Json(view)))
}
