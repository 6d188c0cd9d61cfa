//! What of the node-roles and agents can be found quickly: it follows from them alone, and is kept with every change. Nothing here decides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{Agent, DeploymentName, Intent, NodeName, NodeRole, NodeRoleId, NodeRoleStatus, State};

/// Node-roles by the node whose agent carries them out; none stands for the engine itself.
type ByAgent = BTreeMap<Option<NodeName>, BTreeSet<NodeRoleId>>;

/// What can be found quickly.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Index {
    pub(super) dependants: BTreeMap<NodeRoleId, BTreeSet<NodeRoleId>>,
    pub(super) carried_out: ByAgent,
    pub(super) queued: ByAgent,
    pub(super) running: ByAgent,
    pub(super) leaving: BTreeMap<DeploymentName, BTreeSet<NodeRoleId>>,
    pub(super) timers: BTreeSet<(Timestamp, NodeRoleId)>,
    /// The agents that are about to become another release.
    pub(super) upgrading: BTreeSet<NodeName>,
    pub(super) upgrades_due: BTreeSet<(Timestamp, NodeName)>,
    pub(super) counts: BTreeMap<DeploymentName, BTreeMap<&'static str, usize>>,
}

impl Index {
    /// A node-role is there.
    pub(super) fn learn(&mut self, node_role: &NodeRole) {
        let spec = &node_role.spec;
        for candidate in spec.requires.iter().flat_map(|it| &it.candidates) {
            self.dependants.entry(candidate.clone()).or_default().insert(spec.id.clone());
        }
        self.carried_out.entry(spec.agent.clone()).or_default().insert(spec.id.clone());
        self.list(node_role);
    }

    /// A node-role is not there any more.
    pub(super) fn forget(&mut self, node_role: &NodeRole) {
        let spec = &node_role.spec;
        for candidate in spec.requires.iter().flat_map(|it| &it.candidates) {
            take(&mut self.dependants, candidate, &spec.id);
        }
        take(&mut self.carried_out, &spec.agent, &spec.id);
        self.unlist(node_role);
    }

    /// A node-role stands where its status says.
    pub(super) fn list(&mut self, node_role: &NodeRole) {
        let (spec, status) = (&node_role.spec, &node_role.status);
        match status.state {
            State::Queued { .. } => {
                self.queued.entry(spec.agent.clone()).or_default().insert(spec.id.clone());
            }
            State::Running { .. } | State::Undoing { .. } => {
                self.running.entry(spec.agent.clone()).or_default().insert(spec.id.clone());
            }
            _ => {}
        }
        if status.intent == Intent::Absent {
            self.leaving.entry(spec.id.deployment.clone()).or_default().insert(spec.id.clone());
        }
        if let Some(at) = timer(status) {
            self.timers.insert((at, spec.id.clone()));
        }
        *self.counts.entry(spec.id.deployment.clone()).or_default().entry(status.state.word()).or_default() += 1;
    }

    /// A node-role does not stand there any more.
    pub(super) fn unlist(&mut self, node_role: &NodeRole) {
        let (spec, status) = (&node_role.spec, &node_role.status);
        match status.state {
            State::Queued { .. } => take(&mut self.queued, &spec.agent, &spec.id),
            State::Running { .. } | State::Undoing { .. } => take(&mut self.running, &spec.agent, &spec.id),
            _ => {}
        }
        if status.intent == Intent::Absent {
            take(&mut self.leaving, &spec.id.deployment, &spec.id);
        }
        if let Some(at) = timer(status) {
            self.timers.remove(&(at, spec.id.clone()));
        }
        self.discount(&spec.id.deployment, status.state.word());
    }

    /// An agent stands where it says.
    pub(super) fn list_agent(&mut self, agent: &Agent) {
        let Some(state) = agent.step.as_ref().map(|it| &it.state) else { return };
        if state.is_under_way() {
            self.upgrading.insert(agent.node.clone());
        }
        if let Some(at) = state.due() {
            self.upgrades_due.insert((at, agent.node.clone()));
        }
    }

    /// An agent does not stand there any more.
    pub(super) fn unlist_agent(&mut self, agent: &Agent) {
        self.upgrading.remove(&agent.node);
        if let Some(at) = agent.step.as_ref().and_then(|it| it.state.due()) {
            self.upgrades_due.remove(&(at, agent.node.clone()));
        }
    }

    fn discount(&mut self, deployment: &DeploymentName, word: &'static str) {
        let Some(counts) = self.counts.get_mut(deployment) else { return };
        if let Some(count) = counts.get_mut(word) {
            *count -= 1;
            if *count == 0 {
                counts.remove(word);
            }
        }
        if counts.is_empty() {
            self.counts.remove(deployment);
        }
    }
}

/// Takes a node-role out of a list, and an empty list out of the lists.
fn take<K: Ord>(lists: &mut BTreeMap<K, BTreeSet<NodeRoleId>>, key: &K, id: &NodeRoleId) {
    if let Some(list) = lists.get_mut(key) {
        list.remove(id);
        if list.is_empty() {
            lists.remove(key);
        }
    }
}

/// When a node-role has to be looked at although nothing happened to it.
fn timer(status: &NodeRoleStatus) -> Option<Timestamp> {
    match status.state {
        State::Running { deadline, .. } | State::Undoing { deadline, .. } => Some(deadline),
        State::Queued { .. } => status.not_before,
        State::Waiting if status.intent == Intent::Absent => status.not_before,
        _ => None,
    }
}
