//! What the faults hit, written down as it happens; what came of it is seen at the end, by `report.rs`.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rebar_model::{NodeName, NodeRoleId};

/// What the faults hit, in their order.
#[derive(Debug)]
pub(crate) struct Tally(Mutex<Vec<Hits>>);

/// What one fault hit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hits {
    /// Its time came.
    pub happened: bool,
    /// The nodes.
    pub nodes: BTreeSet<NodeName>,
    /// How many attempts.
    pub attempts: usize,
    /// The node-roles of those attempts.
    pub node_roles: BTreeSet<NodeRoleId>,
}

impl Tally {
    pub fn new(faults: usize) -> Self {
        Self(Mutex::new(vec![Hits::default(); faults]))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Hits>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time of a fault came.
    pub fn happened(&self, fault: usize) {
        if let Some(hits) = self.lock().get_mut(fault) {
            hits.happened = true;
        }
    }

    /// A fault hit a node, with what ran on it.
    pub fn node(&self, fault: usize, node: &NodeName, running: &[NodeRoleId]) {
        if let Some(hits) = self.lock().get_mut(fault) {
            hits.happened = true;
            hits.nodes.insert(node.clone());
            hits.attempts += running.len();
            hits.node_roles.extend(running.iter().cloned());
        }
    }

    /// A fault hit an attempt.
    pub fn attempt(&self, fault: usize, node_role: &NodeRoleId) {
        if let Some(hits) = self.lock().get_mut(fault) {
            hits.happened = true;
            hits.attempts += 1;
            hits.node_roles.insert(node_role.clone());
        }
    }

    /// Everything that was written down.
    pub fn all(&self) -> Vec<Hits> {
        self.lock().clone()
    }
}
