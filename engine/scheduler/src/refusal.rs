//! Why something that was asked for is not done. Each has a number and a page in `docs/errors`.

use rebar_model::{Digest, IllegalTransition, NodeName, ReleasePlatform, RevisionNo, RoleName};
use semver::Version;

use crate::PlanError;

/// Why something that was asked for is not done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// There is one already.
    #[error("there is a {kind} `{name}` already")]
    Exists {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Others still need it.
    #[error("{kind} `{name}` is in use by {users}")]
    InUse {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Who needs it.
        users: String,
    },
    /// The plan cannot be made.
    #[error("the plan has {} mistakes", .0.len())]
    BadPlan(Vec<PlanError>),
    /// The plan would be made differently now.
    #[error("plan {} is stale: `{deployment}` stands at revision {base}, and the same wishes give plan {} now", given.short(), current.short())]
    StalePlan {
        /// Of which deployment.
        deployment: rebar_model::DeploymentName,
        /// What was accepted.
        given: Digest,
        /// What would be made now.
        current: Digest,
        /// The last revision.
        base: RevisionNo,
    },
    /// Roles that wipe data were not granted.
    #[error("these roles wipe data and were not granted: {}", list(roles))]
    NotGranted {
        /// Which ones.
        roles: Vec<RoleName>,
    },
    /// Roles that keep what must not be lost were not named.
    #[error("these roles are protected, and what they keep would be lost: {}", list(roles))]
    Protected {
        /// Which ones.
        roles: Vec<RoleName>,
    },
    /// The deployment is busy with something that has to end first.
    #[error("`{deployment}` is being {doing}; wait for it to end")]
    Busy {
        /// Which one.
        deployment: rebar_model::DeploymentName,
        /// What it does.
        doing: &'static str,
    },
    /// Nothing there is to be done.
    #[error("nothing of `{deployment}` has failed")]
    NothingFailed {
        /// Which one.
        deployment: rebar_model::DeploymentName,
    },
    /// A token is not worth anything.
    #[error("this token {why}")]
    BadToken {
        /// Why.
        why: &'static str,
    },
    /// The message comes from a node that has no business with it.
    #[error("node `{node}` has no business with {what}")]
    NotYours {
        /// Which node.
        node: NodeName,
        /// With what.
        what: String,
    },
    /// The agents are being upgraded.
    #[error("the agents are being upgraded to {version}")]
    UpgradeRunning {
        /// To which release.
        version: Version,
    },
    /// The agents are not being upgraded.
    #[error("no upgrade of the agents is under way")]
    NoUpgrade,
    /// The release has no program for some of the machines.
    #[error("release {version} has no program for {platform}, and {} need{} it", names(nodes), if nodes.len() == 1 { "s" } else { "" })]
    NoBuild {
        /// Which release.
        version: Version,
        /// What is missing.
        platform: ReleasePlatform,
        /// The nodes that lack a program.
        nodes: Vec<NodeName>,
    },
    /// A transition that makes no sense: a mistake in Rebar.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
}

/// The first few names, and how many more there are.
fn names(nodes: &[NodeName]) -> String {
    const NAMED: usize = 5;
    let named = nodes.iter().take(NAMED).map(NodeName::as_str).collect::<Vec<_>>().join(", ");
    if nodes.len() > NAMED { format!("{named} and {} more", nodes.len() - NAMED) } else { named }
}

fn list(roles: &[RoleName]) -> String {
    roles.iter().map(RoleName::as_str).collect::<Vec<_>>().join(", ")
}

impl Refusal {
    /// The number of its page.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "RB2001",
            Self::Exists { .. } => "RB2002",
            Self::InUse { .. } => "RB2003",
            Self::BadPlan(_) => "RB2004",
            Self::StalePlan { .. } => "RB2005",
            Self::NotGranted { .. } => "RB2006",
            Self::Busy { .. } => "RB2007",
            Self::NothingFailed { .. } => "RB2008",
            Self::BadToken { .. } => "RB2009",
            Self::NotYours { .. } => "RB2010",
            Self::Illegal(_) => "RB2011",
            Self::Protected { .. } => "RB2012",
            Self::UpgradeRunning { .. } => "RB4501",
            Self::NoUpgrade => "RB4502",
            Self::NoBuild { .. } => "RB4503",
        }
    }
}
