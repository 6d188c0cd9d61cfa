//! Agents, their releases, and the upgrade of all of them.

use jiff::Timestamp;
use rebar_model::{NodeName, ReleaseKey, ReleasePlatform, ReleaseSignature, Sha256, Span};
use semver::Version;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The agent of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    /// Of which node.
    #[schema(value_type = String)]
    pub node: NodeName,
    /// The version that it said it is; none if it said something else.
    #[schema(value_type = Option<String>)]
    pub version: Option<Version>,
    /// Whether it is here.
    pub here: bool,
    /// Where it stands in the last upgrade.
    pub standing: AgentStanding,
    /// Why it stands there, where that is not plain.
    pub reason: Option<String>,
    /// The number of the page about that.
    pub code: Option<String>,
}

/// Where an agent stands in the last upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentStanding {
    /// There is nothing to do for it.
    Idle,
    /// It will be told later.
    Waiting,
    /// It was told.
    Told,
    /// It said that it is the new release, and is watched.
    Watched,
    /// It is the new release.
    Upgraded,
    /// It is not the new release.
    Failed,
}

/// A release of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentReleaseView {
    /// Its version.
    #[schema(value_type = String)]
    pub version: Version,
    /// Its programs.
    pub builds: Vec<AgentBuildView>,
}

/// The program of a release for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentBuildView {
    /// What it runs on, as `linux/amd64`.
    #[schema(value_type = String)]
    pub platform: ReleasePlatform,
    /// Its size in bytes.
    pub size: u64,
    /// The digest that was signed.
    #[schema(value_type = String)]
    pub sha256: Sha256,
    /// The key that signed it.
    #[schema(value_type = String)]
    pub key: ReleaseKey,
    /// When it was imported.
    pub imported_at: Timestamp,
}

/// What a program was signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImportRelease {
    /// The statement, as it was signed: JSON with `kind`, `version`, `platform` and `sha256`.
    pub statement: String,
    /// The public release key, 64 hexadecimal digits.
    #[param(value_type = String)]
    pub key: ReleaseKey,
    /// The Ed25519 signature over the bytes of the statement, 128 hexadecimal digits.
    #[param(value_type = String)]
    pub signature: ReleaseSignature,
}

/// An upgrade of all agents to begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartUpgrade {
    /// The release.
    #[schema(value_type = String)]
    pub version: Version,
    /// How many agents go first; one if not said, 100 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canaries: Option<u32>,
    /// How many agents are upgraded at once after that; 10 if not said, 1000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// How long an agent has to stay connected before the next ones follow; `30s` if not said, `15s` at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub stable_for: Option<Span>,
    /// How long an agent may take to say that it is the new release; `30m` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub report_within: Option<Span>,
}

/// The last upgrade of the agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpgradeView {
    /// Its number.
    pub no: u64,
    /// The release.
    #[schema(value_type = String)]
    pub version: Version,
    /// `running`, `held`, `stopped` or `done`.
    pub state: String,
    /// The node whose agent holds it.
    #[schema(value_type = Option<String>)]
    pub held_by: Option<NodeName>,
    /// Why it does not go on.
    pub reason: Option<String>,
    /// The number of the page about that.
    pub code: Option<String>,
    /// How many agents go first.
    pub canaries: u32,
    /// How many agents are upgraded at once after that.
    pub max_in_flight: u32,
    /// How long an agent has to stay connected before the next ones follow.
    #[schema(value_type = String)]
    pub stable_for: Span,
    /// How long an agent may take to say that it is the new release.
    #[schema(value_type = String)]
    pub report_within: Span,
    /// The nodes whose agents went first.
    #[schema(value_type = Vec<String>)]
    pub first: Vec<NodeName>,
    /// How many agents there are.
    pub agents: usize,
    /// How many of them are the release.
    pub upgraded: usize,
    /// How many of them are about to become it.
    pub under_way: usize,
    /// Who asked for it.
    pub by: String,
    /// When.
    pub started_at: Timestamp,
}
