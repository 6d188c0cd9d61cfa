//! How a deployment and its node-roles stand: the one vocabulary, with reasons.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rebar_model::{
    AttemptId, DeploymentName, GroupName, Importance, Mode, NodeName, NodeRoleId, Phase, Reason, RevisionNo, RoleName,
    Seq, Standing, WhoActs,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{BreakerView, WorkloadRef};

/// How a deployment stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentStatus {
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
    /// Its breaker.
    pub breaker: BreakerView,
    /// How many times it was wiped and rebuilt.
    pub rebuilds: u64,
    /// How many node-roles stand where.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub counts: BTreeMap<Standing, usize>,
    /// Everything is active and up to date.
    pub active: bool,
    /// Nothing runs, and nothing will by itself.
    pub settled: bool,
    /// A person has to act.
    pub needs_person: bool,
    /// The roles that keep what must not be lost: wiping the deployment wants them named.
    #[schema(value_type = Vec<String>)]
    pub protected: Vec<RoleName>,
    /// Every node-role, in an order in which they could run.
    pub node_roles: Vec<NodeRoleView>,
    /// The last change that this knows of: events after it are news.
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// When it was looked at, by the engine's clock.
    pub at: Timestamp,
}

/// How a node-role stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeRoleView {
    /// Its address anywhere: `deployment/role@node`, `deployment/role`.
    #[schema(value_type = String)]
    pub id: NodeRoleId,
    /// Its address in its deployment: `role@node`, `role@deployment`.
    pub address: String,
    /// The role.
    #[schema(value_type = String)]
    pub role: RoleName,
    /// The node; none for a role of the deployment itself.
    #[schema(value_type = Option<String>)]
    pub node: Option<NodeName>,
    /// The group that brought the role to the node.
    #[schema(value_type = Option<String>)]
    pub group: Option<GroupName>,
    /// The place of the node in its group, from 0.
    pub ordinal: u32,
    /// How deep in the graph: those of one depth do not wait for each other.
    pub depth: u32,
    /// Whether progress displays show the role as a phase of its own.
    pub milestone: bool,
    /// `normal`, or `low` for one that displays fold away while nothing is wrong with it.
    #[schema(value_type = String)]
    pub importance: Importance,
    /// The word for it.
    #[schema(value_type = String)]
    pub standing: Standing,
    /// Who has to act next: `rebar`, `you` or `nobody`.
    #[schema(value_type = String)]
    pub who: WhoActs,
    /// The reasons, the weightiest first.
    #[schema(value_type = Vec<Object>)]
    pub reasons: Vec<Reason>,
    /// The weightiest reason in words; none when it is active and fresh.
    pub why: Option<String>,
    /// Since when it stands there, where known.
    pub since: Option<Timestamp>,
    /// How many attempts it had.
    pub attempts: u32,
    /// The attempt under way, else the last one that is known.
    #[schema(value_type = Option<u64>)]
    pub attempt: Option<AttemptId>,
    /// When the attempt under way is given up.
    pub deadline: Option<Timestamp>,
    /// How far the attempt under way is, where its agent said so.
    pub progress: Option<ProgressView>,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProgressView {
    /// The phase.
    #[schema(value_type = Option<String>)]
    pub phase: Option<Phase>,
    /// Percent, as the role said.
    pub percent: u32,
    /// One line, as the role said.
    pub text: String,
}
