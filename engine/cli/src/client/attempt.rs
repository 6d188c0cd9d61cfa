//! The routes of attempts and their logs.

use rebar_api::types::{AttemptView, AttemptsQuery, LogLine, LogQuery, Page};
use rebar_model::{AttemptId, DeploymentName};
use reqwest::Method;

use super::{ANSWER, Client, Lines, PAGE};
use crate::failure::{Failure, Trouble};

impl Client {
    /// The newest attempts of a deployment, or of a node-role in it, the newest first; one page at most.
    pub async fn attempts(
        &self,
        deployment: Option<&DeploymentName>,
        address: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Vec<AttemptView>, Failure> {
        let query = AttemptsQuery {
            deployment: deployment.cloned(),
            address: address.map(str::to_owned),
            limit,
            ..AttemptsQuery::default()
        };
        let page: Page<AttemptView> = self.get_with(&["attempts"], &query).await?;
        Ok(page.items)
    }

    /// Attempts of a deployment, the newest first, page by page; at most about this many.
    pub async fn history(&self, deployment: &DeploymentName, most: usize) -> Result<Vec<AttemptView>, Failure> {
        let mut attempts: Vec<AttemptView> = Vec::new();
        loop {
            let before = attempts.last().map(|it| it.id);
            let query = AttemptsQuery {
                deployment: Some(deployment.clone()),
                before,
                limit: Some(PAGE),
                ..AttemptsQuery::default()
            };
            let page: Page<AttemptView> = self.get_with(&["attempts"], &query).await?;
            let more = page.next_page_token.is_some() && !page.items.is_empty();
            attempts.extend(page.items);
            if !more || attempts.len() >= most {
                return Ok(attempts);
            }
        }
    }

    /// One attempt.
    pub async fn attempt(&self, id: AttemptId) -> Result<AttemptView, Failure> {
        self.get(&["attempts", &id.0.to_string()]).await
    }

    /// The log of an attempt, as it comes.
    pub async fn log(&self, id: AttemptId, query: LogQuery) -> Result<Log, Failure> {
        let mut request = self.request(Method::GET, &["attempts", &id.0.to_string(), "log"]).query(&query);
        if !query.follow {
            request = request.timeout(ANSWER);
        }
        Ok(Log { lines: Lines::new(self, self.send(request).await?) })
    }

    /// The last lines of a log.
    pub async fn log_tail(&self, id: AttemptId, lines: usize) -> Result<Vec<String>, Failure> {
        let mut log = self.log(id, LogQuery::default()).await?;
        let mut text = String::new();
        while let Some(piece) = log.next().await? {
            text.push_str(&piece.text);
        }
        let all: Vec<&str> = text.lines().collect();
        Ok(all[all.len().saturating_sub(lines)..].iter().map(|it| (*it).to_owned()).collect())
    }
}

/// The log of an attempt, as it comes.
#[derive(Debug)]
pub struct Log {
    lines: Lines,
}

impl Log {
    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Result<Option<LogLine>, Failure> {
        while let Some(line) = self.lines.next().await? {
            // An empty line keeps the connection alive.
            if !line.is_empty() {
                let piece = serde_json::from_str(&line);
                return piece
                    .map(Some)
                    .map_err(|error| Failure::new(Trouble::Strange, format!("a piece of a log: {error}")));
            }
        }
        Ok(None)
    }
}
