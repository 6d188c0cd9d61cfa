//! Mistakes that planning finds. Each says where, what is wrong and what to do; all of a plan are reported together.

use rebar_model::{CapabilityName, DeploymentName, Digest, GroupName, Ident, NodeName, NodeRoleId, RoleName};

/// A mistake that planning found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum PlanError {
    /// There is no such deployment.
    #[error("there is no deployment `{name}`")]
    NoDeployment {
        /// Its name.
        name: DeploymentName,
    },
    /// The workload version is not there.
    #[error("workload {digest} is not imported; import it with `rebar workload import`")]
    NoWorkload {
        /// Its digest.
        digest: Digest,
    },
    /// A node is bound that is not there.
    #[error(
        "group `{group}` names node `{node}`, which is not there; add it with `rebar node add`, or take it out of the group"
    )]
    NoNode {
        /// The group.
        group: GroupName,
        /// The node.
        node: NodeName,
    },
    /// A group is bound that the workload does not have.
    #[error("the workload has no group `{group}`; it has {known}")]
    NoGroup {
        /// The group.
        group: GroupName,
        /// Those that it has.
        known: String,
    },
    /// A group has the wrong number of nodes.
    #[error("group `{group}` has {have} nodes, and {rule}")]
    GroupSize {
        /// The group.
        group: GroupName,
        /// How many.
        have: usize,
        /// What is asked for.
        rule: String,
    },
    /// A node does not qualify for a group.
    #[error("node `{node}` does not qualify for group `{group}`: {why}")]
    NotQualified {
        /// The node.
        node: NodeName,
        /// The group.
        group: GroupName,
        /// Why.
        why: String,
    },
    /// An expression is wrong.
    #[error("{place}: {detail}")]
    Expression {
        /// Where.
        place: String,
        /// What is wrong.
        detail: String,
    },
    /// An input has no value.
    #[error("{id}: input `{input}` has no value: {detail}")]
    Missing {
        /// Of which node-role.
        id: NodeRoleId,
        /// Which input.
        input: Ident,
        /// What was looked for, and what to do.
        detail: String,
    },
    /// An input, or a requirement, has several candidates where one is meant.
    #[error("{id}: {what} is ambiguous, it could be any of {candidates}; say which with `take`")]
    Ambiguous {
        /// Of which node-role.
        id: NodeRoleId,
        /// Which input or requirement.
        what: String,
        /// The candidates.
        candidates: String,
    },
    /// Two profiles set a parameter to different values.
    #[error("parameter `{parameter}` is set differently by {levels}; set it for the deployment or the node")]
    AmbiguousParameter {
        /// Which one.
        parameter: Ident,
        /// By which levels.
        levels: String,
    },
    /// A parameter is set that the workload does not have.
    #[error("the workload has no parameter `{parameter}`{hint}")]
    UnknownParameter {
        /// Which one.
        parameter: Ident,
        /// A likely one.
        hint: String,
    },
    /// A value does not match its schema.
    #[error("{place}: {detail}")]
    WrongType {
        /// Where.
        place: String,
        /// What is wrong.
        detail: String,
    },
    /// Something required is not there.
    #[error("{id}: requires {what}, and nothing {place} provides it{hint}")]
    Unprovided {
        /// Of which node-role.
        id: NodeRoleId,
        /// What is required.
        what: String,
        /// Where it was looked for.
        place: String,
        /// What would provide it on another machine.
        hint: String,
    },
    /// Two roles on one node exclude each other.
    #[error("`{role}` and `{other}` exclude each other on {place}: both have to do with `{capability}`")]
    Conflict {
        /// The role that says so.
        role: RoleName,
        /// The other one.
        other: RoleName,
        /// The capability.
        capability: CapabilityName,
        /// Where.
        place: String,
    },
    /// The graph has a cycle.
    #[error("the roles wait for each other in a circle: {}", path.join(" → "))]
    Cycle {
        /// The way around.
        path: Vec<String>,
    },
    /// A role needs something to carry it out that this version does not have.
    #[error(
        "role `{role}` needs {what}, which this version of Rebar does not have; write it with the runner `script`, or take the role out"
    )]
    NoRunner {
        /// The role.
        role: RoleName,
        /// What is missing.
        what: String,
    },
    /// A role lands on a machine that it is not made for.
    #[error("role `{role}` is made for {made_for}, and node `{node}` {why}")]
    WrongPlatform {
        /// The role.
        role: RoleName,
        /// What it is made for.
        made_for: String,
        /// The node.
        node: NodeName,
        /// What the node is.
        why: String,
    },
}

impl PlanError {
    /// The number of its page in `docs/errors`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoDeployment { .. } => "RB3001",
            Self::NoWorkload { .. } => "RB3002",
            Self::NoNode { .. } => "RB3003",
            Self::NoGroup { .. } => "RB3004",
            Self::GroupSize { .. } => "RB3005",
            Self::NotQualified { .. } => "RB3006",
            Self::Expression { .. } => "RB3007",
            Self::Missing { .. } => "RB3008",
            Self::Ambiguous { .. } => "RB3009",
            Self::AmbiguousParameter { .. } => "RB3010",
            Self::UnknownParameter { .. } => "RB3011",
            Self::WrongType { .. } => "RB3012",
            Self::Unprovided { .. } => "RB3013",
            Self::Conflict { .. } => "RB3014",
            Self::Cycle { .. } => "RB3015",
            Self::NoRunner { .. } => "RB3016",
            Self::WrongPlatform { .. } => "RB3017",
        }
    }
}
