//! Deployments: what is wished for, and the revisions that came of it. How they stand is `status.rs`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rebar_model::{
    Actor, DeploymentName, DeploymentSpec, Digest, GroupName, Ident, Mode, NodeName, ProfileName, RevisionNo, RoleName,
    Seq, Standing, Touched,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::DeploymentStatus;

/// A workload version by both its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkloadRef {
    /// `name@version`; the digest where the version is not there any more.
    pub reference: String,
    /// The digest of the package.
    #[schema(value_type = String)]
    pub digest: Digest,
}

/// A deployment in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentSummary {
    /// Its name.
    #[schema(value_type = String)]
    pub name: DeploymentName,
    /// The workload version that is wished for.
    pub workload: WorkloadRef,
    /// The last accepted plan; 0 before the first.
    #[schema(value_type = u64)]
    pub revision: RevisionNo,
    /// `converging`, `rebuilding` or `destroying`.
    #[schema(value_type = String)]
    pub mode: Mode,
    /// Why nothing new starts, if a person paused it.
    pub paused: Option<String>,
    /// How many node-roles stand where.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub counts: BTreeMap<Standing, usize>,
    /// Everything is active and up to date.
    pub active: bool,
    /// Nothing runs, and nothing will by itself.
    pub settled: bool,
    /// A person has to act.
    pub needs_person: bool,
    /// How many times it was wiped and rebuilt.
    pub rebuilds: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A deployment: what is wished for, and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentView {
    /// What is wished for; the next accepted plan makes it true.
    #[schema(value_type = Object)]
    pub spec: DeploymentSpec,
    /// What the last accepted plan was made of; none before the first.
    #[schema(value_type = Option<Object>)]
    pub applied: Option<DeploymentSpec>,
    /// How it stands.
    pub status: DeploymentStatus,
    /// The version of the wishes, for `If-Match`; the same as the `ETag` header.
    pub etag: String,
}

/// A deployment to make. Deliberately without `Debug`, for its parameters may be secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDeployment {
    /// Its name.
    #[schema(value_type = String)]
    pub name: DeploymentName,
    /// The workload version: `name@version`, a digest, or a name of which there is one version.
    pub workload: String,
    /// The nodes of each group; their place is their ordinal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    pub groups: BTreeMap<GroupName, Vec<NodeName>>,
    /// The profiles whose parameters it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub profiles: Vec<ProfileName>,
    /// Parameters to set at the level of the deployment; what the workload declares as a secret is kept as one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Object>)]
    pub parameters: BTreeMap<Ident, Value>,
}

/// What to change of the wishes; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeDeployment {
    /// The workload version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// The nodes of every group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Vec<String>>>)]
    pub groups: Option<BTreeMap<GroupName, Vec<NodeName>>>,
    /// All profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub profiles: Option<Vec<ProfileName>>,
}

/// Why a person pauses or cancels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// Why; shown wherever somebody asks why nothing happens.
    #[serde(default)]
    pub reason: String,
}

/// What may go when everything is undone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WipeRequest {
    /// The protected roles of which something may be taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub allow_protected: Vec<RoleName>,
}

/// What to try again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// The addresses of node-roles, `role@node`; none means all that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// Rebar has it written down, and is at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// Which deployment.
    #[schema(value_type = String)]
    pub deployment: DeploymentName,
    /// Its last accepted plan; 0 where there is none, or where the deployment is gone already.
    #[schema(value_type = u64)]
    pub revision: RevisionNo,
    /// The last change of the engine then: events after it are what comes of this.
    #[schema(value_type = u64)]
    pub seq: Seq,
}

/// What differs between two revisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionDiff {
    /// The earlier one; 0 is what there was before the first.
    #[schema(value_type = u64)]
    pub from: RevisionNo,
    /// The later one.
    #[schema(value_type = u64)]
    pub to: RevisionNo,
    /// The workload versions, where they differ.
    pub workload: Option<WorkloadChange>,
    /// The groups whose nodes differ.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub groups: BTreeMap<GroupName, GroupChange>,
    /// The profiles, where they differ.
    #[schema(value_type = Option<Object>)]
    pub profiles: Option<ProfilesChange>,
    /// The parameters of the deployment's own level that differ; secrets masked.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub parameters: BTreeMap<Ident, ParameterChange>,
}

/// With which revision to compare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// The other revision; by default the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<u64>)]
    pub from: Option<RevisionNo>,
}

/// Two workload versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkloadChange {
    /// The earlier one; none before the first revision.
    pub before: Option<WorkloadRef>,
    /// The later one.
    pub after: WorkloadRef,
}

/// What differs of the nodes of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupChange {
    /// Those that came.
    #[schema(value_type = Vec<String>)]
    pub added: Vec<NodeName>,
    /// Those that went.
    #[schema(value_type = Vec<String>)]
    pub removed: Vec<NodeName>,
    /// Whether those that stayed have other places in it.
    pub reordered: bool,
}

/// Two lists of profiles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProfilesChange {
    /// The earlier ones.
    #[schema(value_type = Vec<String>)]
    pub before: Vec<ProfileName>,
    /// The later ones.
    #[schema(value_type = Vec<String>)]
    pub after: Vec<ProfileName>,
}

/// Two values of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ParameterChange {
    /// The earlier one; none where it was not set.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// The later one; none where it is not set any more.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
}

/// An accepted plan. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionView {
    /// Its number.
    #[schema(value_type = u64)]
    pub no: RevisionNo,
    /// Who accepted it.
    #[schema(value_type = String)]
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// The id of the plan.
    #[schema(value_type = String)]
    pub plan: Digest,
    /// The workload version.
    pub workload: WorkloadRef,
    /// The wishes that it was made from.
    #[schema(value_type = Object)]
    pub spec: DeploymentSpec,
    /// The parameters of the deployment's own level then; secrets masked.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub parameters: BTreeMap<Ident, Value>,
    /// The earlier revision whose wishes these are again, if it was accepted to go back to that.
    #[schema(value_type = Option<u64>)]
    pub restores: Option<RevisionNo>,
    /// The node-roles that it changed.
    #[schema(value_type = Vec<Object>)]
    pub touched: Vec<Touched>,
    /// Whether it is the last one.
    pub current: bool,
}
