//! `/deployments/{name}/explain` and `why`: why something is not done, and where a value comes from.

use axum::{Json, extract::State};
use rebar_model::{AttemptId, DeploymentName, Layer, ResourceId};
use rebar_ports::StoreError;
use rebar_scheduler::{Explanation, why as value_why};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    address,
    app::App,
    error::ApiError,
    explain as explaining,
    extract::{Params, Segments},
    limits::{LOG_BATCH, LOG_LINE, LOG_LINES},
    mask::mask,
    types::{Cause, ExplainQuery, ExplainView, Problem, ValueLayer, ValueOrigin, ValueProducer, WhyQuery},
    words::shortened,
};

/// How far from its end a log is read at first, in bytes; more, where that gave nothing.
const TAIL: u64 = 8 * 1_024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(explain)).routes(routes!(why))
}

/// Explain why something is not done
///
/// The root cause first, with what it holds back, the last lines of the log, and commands to try.
#[utoipa::path(get, path = "/deployments/{name}/explain", tag = "deployments",
    params(("name" = String, Path), ExplainQuery),
    responses((status = 200, body = ExplainView), (status = 404, body = Problem)))]
async fn explain(
    State(app): State<App>,
    Segments(name): Segments<DeploymentName>,
    Params(query): Params<ExplainQuery>,
) -> Result<Json<ExplainView>, ApiError> {
    let now = app.handle.now();
    let mut view = app.handle.read(|world| {
        let deployment = address::deployment(world, &name)?;
        let Some(text) = &query.address else { return Ok(explaining::deployment(world, deployment, now)) };
        let node_role = address::node_role(world, &name, text)?;
        explaining::node_role(world, node_role, now).ok_or_else(|| ApiError::not_found("node-role", text))
    })?;
    for cause in &mut view.causes {
        add_pending(&app, cause);
        if let Some(attempt) = cause.attempt {
            cause.log = tail(&app, attempt).await?;
        }
    }
    Ok(Json(view))
}

/// Adds what a service waits for, which it tells the engine and is in no World.
fn add_pending(app: &App, cause: &mut Cause) {
    let owner = cause.node_roles.first().filter(|_| cause.attempt.is_some()).cloned();
    if let Some(pending) = owner.and_then(|it| app.handle.pending(&ResourceId(it))) {
        cause.text = format!("{}; {pending}", cause.text);
    }
}

/// The last lines of a log.
async fn tail(app: &App, attempt: AttemptId) -> Result<Vec<String>, StoreError> {
    let logs = app.handle.logs();
    let end = logs.end(attempt).await?;
    let mut back = TAIL;
    let mut chunks = loop {
        let chunks = logs.read(attempt, end.saturating_sub(back), LOG_BATCH).await?;
        // The last piece may be longer than what was asked for, and then begins before it.
        if !chunks.is_empty() || back >= end {
            break chunks;
        }
        back = back.saturating_mul(16);
    };
    let mut text = String::new();
    while let Some(offset) = chunks.last().map(|it| it.offset + it.bytes) {
        text.extend(chunks.into_iter().map(|it| it.text));
        // Pieces may be as small as a line; and the log may grow faster than it is read.
        chunks = if offset < end { logs.read(attempt, offset, LOG_BATCH).await? } else { Vec::new() };
    }
    let lines: Vec<_> = text.lines().map(|it| shortened(it, LOG_LINE)).collect();
    Ok(lines[lines.len().saturating_sub(LOG_LINES)..].to_vec())
}

/// Say where the value of an input comes from
#[utoipa::path(get, path = "/deployments/{name}/why", tag = "deployments", params(("name" = String, Path), WhyQuery),
    responses((status = 200, body = ValueOrigin), (status = 404, body = Problem)))]
async fn why(
    State(app): State<App>,
    Segments(name): Segments<DeploymentName>,
    Params(query): Params<WhyQuery>,
) -> Result<Json<ValueOrigin>, ApiError> {
    app.handle.read(|world| {
        address::deployment(world, &name)?;
        let node_role = address::node_role(world, &name, &query.address)?;
        let found = value_why(world, &node_role.spec.id, &query.input);
        let missing = || ApiError::not_found("input", format!("{} of {}", query.input, query.address));
        found.map(origin).map(Json).ok_or_else(missing)
    })
}

fn origin(explanation: Explanation) -> ValueOrigin {
    let producers = explanation.producers.into_iter().map(|it| ValueProducer {
        id: it.id,
        output: it.output,
        value: it.value.as_ref().map(mask),
        attempt: it.attempt,
        inputs: it.inputs.into_iter().map(origin).collect(),
    });
    ValueOrigin {
        id: explanation.id,
        input: explanation.input,
        value: explanation.value.as_ref().map(mask),
        origin: explanation.origin,
        layers: explanation.layers.into_iter().map(layer).collect(),
        producers: producers.collect(),
    }
}

fn layer(layer: Layer) -> ValueLayer {
    let Layer { level, value, by, at, wins } = layer;
    ValueLayer { level, value: value.as_ref().map(mask), by, at, wins }
}
