//! When to look again: whenever an event of the deployment comes. A stream that breaks is opened again; one that cannot be opened
//! costs nothing but time, for looks do not depend on it.

use std::time::Duration;

use rebar_api::types::EventsQuery;
use rebar_model::DeploymentName;

use crate::client::{Client, EventStream};

/// How long to wait before a broken stream is opened again.
const AGAIN: Duration = Duration::from_secs(2);

/// When to look again.
pub struct Wake {
    client: Client,
    name: DeploymentName,
    stream: Option<EventStream>,
}

impl Wake {
    /// For the events of one deployment.
    pub fn new(client: Client, name: DeploymentName) -> Self {
        Self { client, name, stream: None }
    }

    /// Resolves at the next event, with its line for people. Cancel safe: an event that is lost is made up for by the next look.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(stream) = &mut self.stream
                && let Ok(Some(event)) = stream.next().await
            {
                return Some(event.summary);
            }
            if self.stream.take().is_some() {
                tokio::time::sleep(AGAIN).await;
            }
            let since = Some("now".to_owned());
            let query = EventsQuery { since, deployment: Some(self.name.clone()), limit: None };
            match self.client.event_stream(&query).await {
                Ok(stream) => self.stream = Some(stream),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }
}
