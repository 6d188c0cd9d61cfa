//! `/events`: what happened, as a list or as a stream of server-sent events. A reader that resumes after the last event that it saw
//! misses none and sees none twice: both come out of the one history of the store, by sequence number.

use std::collections::VecDeque;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, stream};
use rebar_model::{DeploymentName, Seq};
use rebar_ports::{HistoryQuery, StoreError};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::Params,
    guard::Seat,
    limits::{EVENT_BATCH, HEARTBEAT},
    paging::limit,
    summary,
    types::{EventView, EventsQuery, Page, Problem},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Read events, or follow them
///
/// With `Accept: text/event-stream` it is a stream whose ids are sequence numbers: `Last-Event-ID` resumes after that one.
#[utoipa::path(get, path = "/events", tag = "events",
    params(EventsQuery, ("Last-Event-ID" = Option<u64>, Header, description = "resumes a stream")),
    responses((status = 200, content(
        (Page<EventView> = "application/json"),
        (EventView = "text/event-stream"),
    )), (status = 400, body = Problem)))]
async fn list(
    State(app): State<App>,
    seat: Seat,
    headers: HeaderMap,
    Params(query): Params<EventsQuery>,
) -> Result<Response, ApiError> {
    let head = app.handle.read(rebar_model::World::applied);
    let since = since(query.since.as_deref(), head)?;
    let accepts = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/event-stream") {
        let resumed = headers.get("last-event-id").and_then(|it| it.to_str().ok());
        let after = resumed.map(address::parse).transpose()?.map_or(since, Seq);
        let events = follow(app, seat, after, query.deployment);
        let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("still here");
        return Ok(Sse::new(events).keep_alive(keep_alive).into_response());
    }
    let limit = limit(query.limit);
    let history = HistoryQuery {
        after: since,
        deployment: query.deployment,
        limit: u32::try_from(limit + 1).unwrap_or(u32::MAX),
    };
    let mut records = app.handle.store().history(history).await?;
    let more = records.len() > limit;
    records.truncate(limit);
    let next_page_token = records.last().filter(|_| more).map(|it| it.seq.to_string());
    let items = records.iter().map(summary::event).collect();
    Ok(Json(Page { items, next_page_token, revision: head }).into_response())
}

/// After which event a reader begins.
fn since(text: Option<&str>, head: Seq) -> Result<Seq, ApiError> {
    match text {
        None => Ok(Seq(0)),
        Some("now") => Ok(head),
        Some(text) => match text.strip_prefix('-') {
            Some(back) => Ok(Seq(head.0.saturating_sub(address::parse(back)?))),
            None => address::parse(text).map(Seq),
        },
    }
}

/// Where a reader of events stands.
struct Reader {
    app: App,
    _seat: Seat,
    after: Seq,
    deployment: Option<DeploymentName>,
    read: VecDeque<EventView>,
}

fn follow(
    app: App,
    seat: Seat,
    after: Seq,
    deployment: Option<DeploymentName>,
) -> impl Stream<Item = Result<Event, axum::Error>> {
    let reader = Reader { app, _seat: seat, after, deployment, read: VecDeque::new() };
    stream::try_unfold(reader, |mut reader| async move {
        let Some(event) = reader.next().await.map_err(axum::Error::new)? else { return Ok(None) };
        let event = Event::default().id(event.seq.to_string()).event(&event.kind).json_data(&event)?;
        Ok(Some((event, reader)))
    })
}

impl Reader {
    /// The next event; none when the engine stops.
    async fn next(&mut self) -> Result<Option<EventView>, StoreError> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Ok(Some(event));
            }
            // Asked before the history is read: whatever comes after `head` wakes this up again.
            let head = self.app.handle.read(rebar_model::World::applied);
            let query = HistoryQuery { after: self.after, deployment: self.deployment.clone(), limit: EVENT_BATCH };
            let records = self.app.handle.store().history(query).await?;
            if let Some(last) = records.last() {
                self.after = last.seq;
                self.read.extend(records.iter().map(summary::event));
                continue;
            }
            // Nothing up to `head` was for this reader, so that it need not be read again.
            self.after = self.after.max(head);
            tokio::select! {
                () = self.app.news.past(self.after) => {}
                () = self.app.stop.cancelled() => return Ok(None),
            }
        }
    }
}
