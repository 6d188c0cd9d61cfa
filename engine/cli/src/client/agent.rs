//! The routes of agents, their releases and their upgrade.

use rebar_api::types::{AgentReleaseView, AgentView, ImportRelease, StartUpgrade, UpgradeView};
use reqwest::{Method, header::CONTENT_TYPE};

use super::{Client, LONG_ANSWER};
use crate::{exit::Exit, failure::Failure};

impl Client {
    /// All agents.
    pub async fn agents(&self) -> Result<Vec<AgentView>, Failure> {
        self.all(&["agents"], &[]).await
    }

    /// All releases of the agent.
    pub async fn agent_releases(&self) -> Result<Vec<AgentReleaseView>, Failure> {
        self.all(&["agent-releases"], &[]).await
    }

    /// Imports the program of a release.
    pub async fn import_release(&self, signed: &ImportRelease, program: Vec<u8>) -> Result<AgentReleaseView, Failure> {
        let request = self.request(Method::POST, &["agent-releases"]).query(signed);
        let request = request.header(CONTENT_TYPE, "application/octet-stream");
        self.take(request.body(program).timeout(LONG_ANSWER)).await
    }

    /// The last upgrade of the agents, if there was one.
    pub async fn agent_upgrade(&self) -> Result<Option<UpgradeView>, Failure> {
        match self.get(&["agent-upgrade"]).await {
            Ok(view) => Ok(Some(view)),
            Err(failure) if failure.exit == Exit::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Upgrades all agents.
    pub async fn upgrade_agents(&self, request: &StartUpgrade) -> Result<UpgradeView, Failure> {
        self.post(&["agent-upgrade"], request).await
    }

    /// Has no further agent told of the upgrade.
    pub async fn stop_upgrade(&self) -> Result<UpgradeView, Failure> {
        self.post(&["agent-upgrade", "stop"], &()).await
    }
}
