//! The routes of events: pages of the past, and the stream of what comes, as server-sent events.

use rebar_api::types::{EventView, EventsQuery, Page};
use reqwest::{Method, header::ACCEPT};

use super::{Client, Lines};
use crate::failure::{Failure, Trouble};

impl Client {
    /// One page of events; what to ask from next, if there are more.
    pub async fn events(&self, query: &EventsQuery) -> Result<Page<EventView>, Failure> {
        self.get_with(&["events"], query).await
    }

    /// Events as they come.
    pub async fn event_stream(&self, query: &EventsQuery) -> Result<EventStream, Failure> {
        let request = self.request(Method::GET, &["events"]).query(query).header(ACCEPT, "text/event-stream");
        Ok(EventStream { lines: Lines::new(self, self.send(request).await?) })
    }
}

/// Events as they come.
#[derive(Debug)]
pub struct EventStream {
    lines: Lines,
}

impl EventStream {
    /// The next event; none when the engine ended the stream. Cancel safe only between events.
    pub async fn next(&mut self) -> Result<Option<EventView>, Failure> {
        let mut data = String::new();
        while let Some(line) = self.lines.next().await? {
            if let Some(part) = line.strip_prefix("data:") {
                data.push_str(part.strip_prefix(' ').unwrap_or(part));
            } else if line.is_empty() && !data.is_empty() {
                match serde_json::from_str(&std::mem::take(&mut data)) {
                    Ok(event) => return Ok(Some(event)),
                    Err(error) => return Err(Failure::new(Trouble::Strange, format!("an event: {error}"))),
                }
            }
        }
        Ok(None)
    }
}
