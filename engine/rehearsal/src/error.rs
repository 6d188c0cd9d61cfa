//! Why a deployment cannot be rehearsed. What is wrong with the workload or the plan itself is said by the linter and the planner.

use rebar_model::{GroupName, Ident, RoleName};

use crate::limits::MAX_LENGTH;

/// Why a deployment cannot be rehearsed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RehearsalError {
    /// A fault is not understood, or has nothing to hit.
    #[error("fault `{fault}`: {detail}")]
    Fault {
        /// As it was written.
        fault: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The nodes do not come out.
    #[error("{0}")]
    Size(String),
    /// A group is not there.
    #[error("the workload has no group `{group}`; it has {known}")]
    NoGroup {
        /// The group.
        group: GroupName,
        /// Those that there are.
        known: String,
    },
    /// A length of time, or an output, is given for a role that is not there.
    #[error("the workload has no role `{role}`{hint}")]
    NoRole {
        /// The role.
        role: RoleName,
        /// What there is.
        hint: String,
    },
    /// No values can be made for some outputs or parameters.
    #[error("no value can be made up for {} of the schemas", .0.len())]
    Unmade(Vec<Unmade>),
    /// The rehearsal does not end.
    #[error("after {MAX_LENGTH} by its own clock the deployment is still not at rest")]
    Endless,
    /// The simulated engine itself cannot be used.
    #[error("the simulated engine: {0}")]
    Engine(String),
}

/// An output or a parameter for which no value can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmade {
    /// An output.
    #[error("role `{role}`, output `{output}`: {detail}")]
    Output {
        /// Of which role.
        role: RoleName,
        /// Which output.
        output: Ident,
        /// What is in the way.
        detail: String,
    },
    /// A secret parameter.
    #[error("parameter `{name}`: {detail}")]
    Parameter {
        /// Which one.
        name: Ident,
        /// What is in the way.
        detail: String,
    },
}

impl RehearsalError {
    /// The number of its page in `docs/errors`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fault { .. } => "RB7001",
            Self::Size(_) | Self::NoGroup { .. } => "RB7002",
            Self::NoRole { .. } => "RB7003",
            Self::Unmade(_) => "RB7004",
            Self::Endless => "RB7005",
            Self::Engine(_) => "RB7006",
        }
    }
}
