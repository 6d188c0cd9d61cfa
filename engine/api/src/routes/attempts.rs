//! `/attempts`: executions of node-roles, and their logs.

use std::{collections::BTreeMap, io};

use axum::{
    Json,
    body::Body as HttpBody,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, stream};
use rebar_model::{Attempt, AttemptId, Outcome};
use rebar_ports::{AttemptQuery, LogChunk};
use tokio::time::timeout;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::{Params, Segments},
    guard::Seat,
    limits::{LINGER, LOG_BATCH},
    mask::mask,
    paging::limit,
    types::{AttemptInput, AttemptResult, AttemptView, AttemptsQuery, LogLine, LogQuery, Page, Problem},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(get_log))
}

fn view(attempt: Attempt) -> AttemptView {
    let (result, failure) = match &attempt.outcome {
        None => (AttemptResult::Running, None),
        Some(Outcome::Succeeded { .. }) => (AttemptResult::Succeeded, None),
        Some(Outcome::Failed(failure)) => (AttemptResult::Failed, Some(failure.clone())),
        Some(Outcome::Cancelled) => (AttemptResult::Cancelled, None),
    };
    let (outputs, converged, note) = match attempt.outcome {
        Some(Outcome::Succeeded { outputs, converged, note }) => (outputs, converged, note),
        _ => (BTreeMap::new(), false, None),
    };
    let inputs = attempt.inputs.into_iter();
    AttemptView {
        id: attempt.id,
        address: format!("{}#{}", attempt.node_role.local(), attempt.number),
        node_role: attempt.node_role,
        number: attempt.number,
        kind: attempt.kind,
        phases: attempt.phases,
        node: attempt.node,
        key: attempt.key,
        inputs: inputs.map(|(name, it)| (name, AttemptInput { value: mask(&it.value), from: it.from })).collect(),
        started_at: attempt.started_at,
        accepted_at: attempt.accepted_at,
        deadline: attempt.deadline,
        ended_at: attempt.ended_at,
        result,
        failure,
        outputs: outputs.into_iter().map(|(name, it)| (name, mask(&it))).collect(),
        converged,
        note,
    }
}

/// List attempts, the newest first
#[utoipa::path(get, path = "/attempts", tag = "attempts", params(AttemptsQuery),
    responses((status = 200, body = Page<AttemptView>), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn list(
    State(app): State<App>,
    Params(query): Params<AttemptsQuery>,
) -> Result<Json<Page<AttemptView>>, ApiError> {
    let limit = limit(query.limit);
    let token = query.page_token.as_deref().map(address::parse).transpose()?.map(AttemptId);
    let (revision, node_role) = app.handle.read(|world| {
        let node_role = match (&query.deployment, &query.address) {
            (Some(deployment), Some(text)) => Some(address::node_role(world, deployment, text)?.spec.id.clone()),
            // Attempts outlive their node-role, so that this one need not be there.
            (None, Some(text)) => Some(address::parse(text)?),
            (_, None) => None,
        };
        Ok::<_, ApiError>((world.applied(), node_role))
    })?;
    let query = AttemptQuery {
        node_role,
        deployment: query.deployment,
        before: token.or(query.before),
        limit: u32::try_from(limit + 1).unwrap_or(u32::MAX),
    };
    let mut attempts = app.handle.store().attempts(query).await?;
    let more = attempts.len() > limit;
    attempts.truncate(limit);
    let last = attempts.last().filter(|_| more);
    let next_page_token = last.map(|it| it.id.0.to_string());
    Ok(Json(Page { items: attempts.into_iter().map(view).collect(), next_page_token, revision }))
}

async fn find(app: &App, id: AttemptId) -> Result<Attempt, ApiError> {
    app.handle.store().attempt(id).await?.ok_or_else(|| ApiError::not_found("attempt", id))
}

/// Show an attempt
#[utoipa::path(get, path = "/attempts/{id}", tag = "attempts", params(("id" = u64, Path)),
    responses((status = 200, body = AttemptView), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, Segments(id): Segments<AttemptId>) -> Result<Json<AttemptView>, ApiError> {
    Ok(Json(view(find(&app, id).await?)))
}

/// Read the log of an attempt
///
/// One JSON object a line. Following ends when the attempt ended and everything was sent; to resume, ask from `offset + bytes`
/// of the last line on.
#[utoipa::path(get, path = "/attempts/{id}/log", tag = "attempts", params(("id" = u64, Path), LogQuery),
    responses((status = 200, content_type = "application/x-ndjson", body = LogLine), (status = 404, body = Problem)))]
async fn get_log(
    State(app): State<App>,
    seat: Seat,
    Segments(id): Segments<AttemptId>,
    Params(query): Params<LogQuery>,
) -> Result<Response, ApiError> {
    find(&app, id).await?;
    let body = HttpBody::from_stream(lines(app, seat, id, query));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")], body).into_response())
}

/// Where a reader of a log stands.
struct Reader {
    app: App,
    _seat: Seat,
    id: AttemptId,
    offset: u64,
    follow: bool,
    grown: tokio::sync::watch::Receiver<u64>,
}

fn lines(app: App, seat: Seat, id: AttemptId, query: LogQuery) -> impl Stream<Item = io::Result<Bytes>> {
    let grown = app.handle.log_end();
    let reader = Reader { app, _seat: seat, id, offset: query.offset, follow: query.follow, grown };
    stream::try_unfold(reader, |mut reader| async move {
        let batch = reader.next().await.map_err(io::Error::other)?;
        Ok(batch.map(|it| (it, reader)))
    })
}

impl Reader {
    /// The next lines; none when everything was sent.
    async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            // Asked before the log is read: what is written to it afterwards is not missed.
            self.grown.mark_unchanged();
            let (under_way, seq) =
                self.app.handle.read(|world| (world.attempts().contains_key(&self.id), world.applied()));
            let chunks = self.app.handle.logs().read(self.id, self.offset, LOG_BATCH).await?;
            if let Some(last) = chunks.last() {
                self.offset = last.offset + last.bytes;
                return Ok(Some(encode(chunks)));
            }
            if !self.follow || self.app.stop.is_cancelled() {
                return Ok(None);
            }
            if !under_way && !self.grows_late().await? {
                return Ok(None);
            }
            if under_way {
                tokio::select! {
                    grown = self.grown.changed() => if grown.is_err() { return Ok(None) },
                    () = self.app.news.past(seq) => {}
                    () = self.app.stop.cancelled() => {}
                }
            }
        }
    }

    /// Whether the log of an attempt that ended a moment ago grows still: an agent's last words may come after its result.
    async fn grows_late(&mut self) -> Result<bool, ApiError> {
        let ended_at = find(&self.app, self.id).await?.ended_at;
        if ended_at.is_none_or(|it| LINGER.after(it) <= self.app.handle.now()) {
            return Ok(false);
        }
        Ok(matches!(timeout(LINGER.as_duration(), self.grown.changed()).await, Ok(Ok(()))))
    }
}

fn encode(chunks: Vec<LogChunk>) -> Bytes {
    let mut bytes = Vec::new();
    for chunk in chunks {
        let LogChunk { attempt, offset, phase, at, text, bytes: length, lost } = chunk;
        let line = LogLine { attempt, offset, bytes: length, lost, phase, at, text };
        // Writing to memory does not fail, and a line has only text keys.
        if serde_json::to_writer(&mut bytes, &line).is_ok() {
            bytes.push(b'\n');
        }
    }
    bytes.into()
}
