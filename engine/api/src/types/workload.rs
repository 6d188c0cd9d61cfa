//! Workload versions that were imported.

use rebar_model::{DeploymentName, Digest, GroupName, RoleName, Workload, WorkloadName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A workload version in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkloadSummary {
    /// `name@version`.
    pub reference: String,
    /// The digest of the whole package.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// The name.
    #[schema(value_type = String)]
    pub name: WorkloadName,
    /// The version.
    pub version: String,
    /// A longer name for titles.
    pub title: Option<String>,
    /// What it does, in one line.
    pub summary: String,
    /// Its groups.
    #[schema(value_type = Vec<String>)]
    pub groups: Vec<GroupName>,
    /// Its roles, those of the workloads that it uses among them.
    #[schema(value_type = Vec<String>)]
    pub roles: Vec<RoleName>,
    /// The workload versions that it uses, as they were when it was imported.
    pub uses: Vec<UsedWorkload>,
    /// The deployments that use it.
    #[schema(value_type = Vec<String>)]
    pub deployments: Vec<DeploymentName>,
}

/// A workload version whose roles and parameters another took over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsedWorkload {
    /// `name@version`.
    pub reference: String,
    /// The digest of its package.
    #[schema(value_type = String)]
    pub digest: Digest,
}

/// A workload version with everything in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkloadView {
    /// In short.
    pub summary: WorkloadSummary,
    /// Parameters, groups, topologies, roles.
    #[schema(value_type = Object)]
    pub workload: Workload,
}
