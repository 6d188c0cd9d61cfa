//! What a decision asks for: changes to commit, and effects that may leave the engine after that.

use rebar_model::{AttemptId, Change, NodeName};

use crate::Input;

/// What follows from an input.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// Facts to remember, in order.
    pub changes: Vec<Change>,
    /// What to do once they are durable.
    pub effects: Vec<Effect>,
    /// What to decide next, on the World after the changes.
    pub next: Vec<Input>,
}

/// Something to do outside, after the changes are durable. Effects carry names, not content: the outbox looks into the World.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Hand an attempt to its agent.
    Dispatch {
        /// The node.
        node: NodeName,
        /// The attempt.
        attempt: AttemptId,
    },
    /// Have an agent end an attempt.
    Cancel {
        /// The node.
        node: NodeName,
        /// The attempt.
        attempt: AttemptId,
    },
    /// Tell an agent that it may forget an attempt.
    Release {
        /// The node.
        node: NodeName,
        /// The attempt.
        attempt: AttemptId,
    },
    /// Tell an agent of the release that it is to become.
    Upgrade {
        /// The node.
        node: NodeName,
    },
    /// Have the services look at what is desired of them.
    Reconcile,
}

impl Decision {
    /// Adds a change.
    pub(crate) fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Adds all of another decision.
    pub(crate) fn join(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.effects.extend(other.effects);
        self.next.extend(other.next);
    }

    /// Adds a follow-up look at a node-role.
    pub(crate) fn look(&mut self, id: &rebar_model::NodeRoleId) {
        self.next.push(Input::Look { id: id.clone() });
    }
}
