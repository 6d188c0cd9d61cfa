//! The routes of breakers.

use rebar_api::types::{BreakerView, ResetRequest, TripRequest};
use rebar_model::DeploymentName;

use super::Client;
use crate::failure::Failure;

impl Client {
    /// The breakers of all deployments.
    pub async fn breakers(&self) -> Result<Vec<BreakerView>, Failure> {
        self.all(&["breakers"], &[]).await
    }

    /// The breaker of a deployment.
    pub async fn breaker(&self, name: &DeploymentName) -> Result<BreakerView, Failure> {
        self.get(&["deployments", name.as_str(), "breaker"]).await
    }

    /// Opens the breaker of a deployment.
    pub async fn trip_breaker(&self, name: &DeploymentName, request: &TripRequest) -> Result<BreakerView, Failure> {
        self.post(&["deployments", name.as_str(), "breaker", "trip"], request).await
    }

    /// Closes the breaker of a deployment, or has it let one through.
    pub async fn reset_breaker(&self, name: &DeploymentName, request: &ResetRequest) -> Result<BreakerView, Failure> {
        self.post(&["deployments", name.as_str(), "breaker", "reset"], request).await
    }
}
