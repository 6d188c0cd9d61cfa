//! The resolved graph of a deployment's next revision, with what changes and why. Made by `rebar-scheduler`, shown to people,
//! and accepted only while it would still be made the same.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    DeploymentName, Digest, Ident, NodeName, NodeRoleId, NodeRoleSpec, OnChange, RevisionNo, RoleName, Take, Wishes,
};

/// The resolved graph of a deployment's next revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The hash of everything below: equal plans have equal ids.
    pub id: Digest,
    /// Of which deployment.
    pub deployment: DeploymentName,
    /// The revision that it starts from.
    pub base: RevisionNo,
    /// The wishes that it was made from.
    pub wishes: Wishes,
    /// Which node holds each `leader` role.
    pub leaders: BTreeMap<RoleName, NodeName>,
    /// Every node-role, in an order in which they could run.
    pub steps: Vec<PlanStep>,
    /// The roles among them that wipe data and have to be granted by name.
    pub destructive: Vec<RoleName>,
    /// The roles among them that keep what must not be lost, and of which something is or may be taken away.
    pub protected: Vec<RoleName>,
}

/// One node-role of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanStep {
    /// What is to be.
    pub spec: Arc<NodeRoleSpec>,
    /// What happens to it.
    pub action: Action,
    /// Why, one line each.
    pub differences: Vec<Difference>,
    /// Whether what stands there is taken away: it leaves, or an input that asks for a redeploy changes or may change.
    pub undoes: bool,
    /// How deep in the graph: steps of one depth do not wait for each other.
    pub depth: u32,
}

/// What a plan does with a node-role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is new.
    Create,
    /// Its role or inputs changed: it runs again.
    Change,
    /// Something upstream runs; it runs again only if that gives it other inputs.
    Maybe,
    /// It is not touched.
    Keep,
    /// It is undone.
    Retire,
    /// Its node is gone: it is forgotten.
    Forget,
}

/// One difference between what was applied and what a plan asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// What differs: `role content`, `input version`, `requires`.
    pub what: String,
    /// The applied value, where there is one to show.
    pub before: Option<Value>,
    /// The planned value, where there is one to show.
    pub after: Option<Value>,
    /// Where the planned value comes from.
    pub origin: Option<String>,
}

/// An input that found its source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    /// The source.
    pub bound: Bound,
    /// Whether the value is a secret.
    pub secret: bool,
    /// What a changed value asks for.
    pub on_change: OnChange,
}

/// The source that an input found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Bound {
    /// A value known when planning.
    Value {
        /// The value; a secret as its reference.
        value: Value,
        /// Where it was decided, in words: `deployment demo`, `fact addresses.primary of n1`.
        origin: String,
    },
    /// Outputs of other node-roles, known when they are active.
    Outputs {
        /// The role.
        role: RoleName,
        /// The output.
        output: Ident,
        /// How the value is made of those of the producers.
        take: Take,
        /// The producers, ordered by the ordinal of their node.
        producers: Vec<NodeRoleId>,
    },
}
