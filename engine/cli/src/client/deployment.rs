//! The routes of deployments: wishes, plans, what is asked of the engine, and how things stand.

use rebar_api::types::{
    Accepted, ApplyRequest, ChangeDeployment, CreateDeployment, DeploymentStatus, DeploymentSummary, DeploymentView,
    DiffQuery, ExplainQuery, ExplainView, OutputView, OutputsQuery, Page, PauseRequest, PlanView, RetryRequest,
    RevisionDiff, RevisionView, TowardsRequest, ValueOrigin, WaitAnswer, WaitQuery, WhyQuery, WipeRequest,
};
use rebar_model::{DeploymentName, RevisionNo};
use reqwest::{Method, header::IF_MATCH};

use super::{ANSWER, Client};
use crate::failure::Failure;

impl Client {
    /// All deployments.
    pub async fn deployments(&self) -> Result<Vec<DeploymentSummary>, Failure> {
        self.all(&["deployments"], &[]).await
    }

    /// One deployment.
    pub async fn deployment(&self, name: &DeploymentName) -> Result<DeploymentView, Failure> {
        self.get(&["deployments", name.as_str()]).await
    }

    /// Makes a deployment.
    pub async fn create_deployment(&self, request: &CreateDeployment) -> Result<DeploymentView, Failure> {
        self.post(&["deployments"], request).await
    }

    /// Changes what is wished for, if it is still what was read.
    pub async fn change_deployment(
        &self,
        name: &DeploymentName,
        etag: &str,
        change: &ChangeDeployment,
    ) -> Result<DeploymentView, Failure> {
        let request = self.request(Method::PATCH, &["deployments", name.as_str()]).header(IF_MATCH, etag);
        self.take(request.json(change).timeout(ANSWER)).await
    }

    /// What would change, towards what is wished for now or something else.
    pub async fn plan(&self, name: &DeploymentName, towards: Option<&TowardsRequest>) -> Result<PlanView, Failure> {
        let request = self.request(Method::POST, &["deployments", name.as_str(), "plan"]).timeout(ANSWER);
        self.take(match towards {
            Some(towards) => request.json(towards),
            None => request,
        })
        .await
    }

    /// Accepts a plan.
    pub async fn apply(&self, name: &DeploymentName, request: &ApplyRequest) -> Result<Accepted, Failure> {
        self.post(&["deployments", name.as_str(), "apply"], request).await
    }

    /// Starts nothing new.
    pub async fn pause(&self, name: &DeploymentName, request: &PauseRequest) -> Result<Accepted, Failure> {
        self.post(&["deployments", name.as_str(), "pause"], request).await
    }

    /// Goes on.
    pub async fn resume(&self, name: &DeploymentName) -> Result<Accepted, Failure> {
        self.take(self.request(Method::POST, &["deployments", name.as_str(), "resume"]).timeout(ANSWER)).await
    }

    /// Ends what runs and starts nothing new.
    pub async fn cancel(&self, name: &DeploymentName, request: &PauseRequest) -> Result<Accepted, Failure> {
        self.post(&["deployments", name.as_str(), "cancel"], request).await
    }

    /// Tries failed node-roles again.
    pub async fn retry(&self, name: &DeploymentName, request: &RetryRequest) -> Result<Accepted, Failure> {
        self.post(&["deployments", name.as_str(), "retry"], request).await
    }

    /// Undoes everything, then builds it again.
    pub async fn rebuild(&self, name: &DeploymentName, request: &WipeRequest) -> Result<Accepted, Failure> {
        self.post(&["deployments", name.as_str(), "rebuild"], request).await
    }

    /// Undoes everything, then forgets the deployment.
    pub async fn destroy(&self, name: &DeploymentName, request: &WipeRequest) -> Result<Accepted, Failure> {
        self.post(&["deployments", name.as_str(), "destroy"], request).await
    }

    /// How a deployment stands.
    pub async fn status(&self, name: &DeploymentName) -> Result<DeploymentStatus, Failure> {
        self.get(&["deployments", name.as_str(), "status"]).await
    }

    /// Waits until a deployment stands somewhere, for as long as the query says.
    pub async fn wait(&self, name: &DeploymentName, query: &WaitQuery) -> Result<WaitAnswer, Failure> {
        let patience = query.timeout.map(rebar_model::Span::as_duration).unwrap_or_default() + ANSWER;
        let request = self.request(Method::GET, &["deployments", name.as_str(), "wait"]).query(query);
        self.take(request.timeout(patience)).await
    }

    /// Why something is not done.
    pub async fn explain(&self, name: &DeploymentName, query: &ExplainQuery) -> Result<ExplainView, Failure> {
        self.get_with(&["deployments", name.as_str(), "explain"], query).await
    }

    /// Where a value comes from.
    pub async fn why(&self, name: &DeploymentName, query: &WhyQuery) -> Result<ValueOrigin, Failure> {
        self.get_with(&["deployments", name.as_str(), "why"], query).await
    }

    /// One accepted plan.
    pub async fn revision(&self, name: &DeploymentName, no: RevisionNo) -> Result<RevisionView, Failure> {
        self.get(&["deployments", name.as_str(), "revisions", &no.to_string()]).await
    }

    /// What differs between an accepted plan and another, or the one before it.
    pub async fn diff(
        &self,
        name: &DeploymentName,
        no: RevisionNo,
        from: Option<RevisionNo>,
    ) -> Result<RevisionDiff, Failure> {
        let path = ["deployments", name.as_str(), "revisions", &no.to_string(), "diff"];
        self.get_with(&path, &DiffQuery { from }).await
    }

    /// The accepted plans, the newest first.
    pub async fn revisions(&self, name: &DeploymentName) -> Result<Vec<RevisionView>, Failure> {
        self.all(&["deployments", name.as_str(), "revisions"], &[]).await
    }

    /// What a deployment offers.
    pub async fn outputs(&self, name: &DeploymentName, query: OutputsQuery) -> Result<Vec<OutputView>, Failure> {
        let page: Page<OutputView> = self.get_with(&["deployments", name.as_str(), "outputs"], &query).await?;
        Ok(page.items)
    }
}
