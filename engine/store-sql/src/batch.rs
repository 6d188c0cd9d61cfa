//! What a commit leaves: the last value of each entity that its changes touch, pure. It says the same as applying the changes
//! one by one; the conformance suite compares the two on random histories. Writing it is the work of `projection.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rebar_model::{
    Agent, AgentRelease, AgentUpgrade, ApiToken, Attempt, AttemptId, Change, Deployment, DeploymentName, Digest,
    EnrolToken, Epoch, Ident, MissingFromWorld, Node, NodeName, NodeRoleId, NodeRoleSpec, NodeRoleStatus, Parameter,
    ParameterScope, Record, Resource, Revision, Seq, TokenHash, UpgradeNo, Workload,
};
use rebar_ports::StoreError;
use semver::Version;

use crate::json::corrupt;

/// The last value of each entity; none if it is gone. Ordered by key, which keeps writes to the tables' trees together.
pub(crate) type Slots<'a, K, V> = BTreeMap<K, Option<&'a V>>;

/// What a commit leaves.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    pub(crate) applied: Seq,
    pub(crate) last_attempt: AttemptId,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) nodes: Slots<'a, &'a NodeName, Node>,
    pub(crate) workloads: Slots<'a, Digest, Workload>,
    /// Levels that lose everything set before this commit.
    pub(crate) cleared: BTreeSet<ParameterScope>,
    pub(crate) parameters: Slots<'a, (ParameterScope, &'a Ident), Parameter>,
    pub(crate) deployments: Slots<'a, &'a DeploymentName, Deployment>,
    /// Deployments whose revisions before this commit do not hold any more.
    pub(crate) superseded: BTreeSet<&'a DeploymentName>,
    pub(crate) revisions: Vec<RevisionRow<'a>>,
    pub(crate) node_roles: BTreeMap<&'a NodeRoleId, NodeRoleSlot<'a>>,
    pub(crate) attempts: BTreeMap<AttemptId, &'a Attempt>,
    pub(crate) resources: Slots<'a, &'a NodeRoleId, Resource>,
    pub(crate) agents: Slots<'a, &'a NodeName, Agent>,
    pub(crate) agent_releases: Slots<'a, &'a Version, AgentRelease>,
    pub(crate) agent_upgrades: BTreeMap<UpgradeNo, &'a AgentUpgrade>,
    pub(crate) enrol_tokens: Slots<'a, TokenHash, EnrolToken>,
    pub(crate) api_tokens: Slots<'a, TokenHash, ApiToken>,
}

/// A revision, and whether it holds when the commit is done.
pub(crate) struct RevisionRow<'a> {
    pub(crate) seq: Seq,
    pub(crate) latest: bool,
    pub(crate) revision: &'a Revision,
}

/// What happens to the row of a node-role.
#[derive(Clone, Copy)]
pub(crate) enum NodeRoleSlot<'a> {
    /// Its spec is new; its status stays, or is that of a new one.
    Specified(&'a Arc<NodeRoleSpec>),
    /// Its status is new; its spec stays.
    Moved(&'a NodeRoleStatus),
    /// Both are new; no status is that of a new one.
    Put(&'a Arc<NodeRoleSpec>, Option<&'a NodeRoleStatus>),
    /// It is gone.
    Removed,
}

impl<'a> Batch<'a> {
    /// Reduces records to what they leave.
    pub(crate) fn of(records: &'a [Record]) -> Result<Self, StoreError> {
        let mut batch = Self::default();
        for record in records {
            batch.take(record)?;
            batch.applied = record.seq;
        }
        Ok(batch)
    }

    fn take(&mut self, record: &'a Record) -> Result<(), StoreError> {
        match &record.change {
            Change::EpochBegan { epoch } => self.epoch = Some(*epoch),
            Change::NodePut { node } => put(&mut self.nodes, &node.name, &**node),
            Change::NodeRemoved { name } => {
                remove(&mut self.nodes, name);
                remove(&mut self.agents, name);
                self.clear(ParameterScope::Node(name.clone()));
            }
            Change::WorkloadImported { workload } => put(&mut self.workloads, workload.digest, &**workload),
            Change::WorkloadRemoved { digest } => remove(&mut self.workloads, *digest),
            Change::ParameterSet { scope, name, parameter } => {
                self.parameters.insert((scope.clone(), name), parameter.as_ref());
            }
            Change::DeploymentPut { deployment } => put(&mut self.deployments, &deployment.name, &**deployment),
            Change::DeploymentRemoved { name } => {
                remove(&mut self.deployments, name);
                self.supersede(name);
                self.clear(ParameterScope::Deployment(name.clone()));
            }
            Change::RevisionAccepted { revision } => {
                self.supersede(&revision.deployment);
                self.revisions.push(RevisionRow { seq: record.seq, latest: true, revision });
            }
            Change::NodeRoleSpecified { spec } => self.specify(spec),
            Change::NodeRoleMoved { id, status } => self.move_to(id, status)?,
            Change::NodeRoleRemoved { id } => {
                self.node_roles.insert(id, NodeRoleSlot::Removed);
            }
            Change::AttemptPut { attempt } => {
                self.last_attempt = self.last_attempt.max(attempt.id);
                self.attempts.insert(attempt.id, &**attempt);
            }
            Change::ResourcePut { resource } => put(&mut self.resources, &resource.owner, &**resource),
            Change::ResourceRemoved { id } => remove(&mut self.resources, &id.0),
            Change::AgentReleasePut { release } => put(&mut self.agent_releases, &release.version, &**release),
            Change::AgentPut { agent } => put(&mut self.agents, &agent.node, &**agent),
            Change::AgentUpgradePut { upgrade } => drop(self.agent_upgrades.insert(upgrade.no, &**upgrade)),
            Change::EnrolTokenPut { token } => put(&mut self.enrol_tokens, token.hash, token),
            Change::EnrolTokenRemoved { hash } => remove(&mut self.enrol_tokens, *hash),
            Change::ApiTokenPut { token } => put(&mut self.api_tokens, token.hash, token),
            Change::ApiTokenRemoved { hash } => remove(&mut self.api_tokens, *hash),
        }
        Ok(())
    }

    fn clear(&mut self, scope: ParameterScope) {
        self.parameters.retain(|(known, _), _| *known != scope);
        self.cleared.insert(scope);
    }

    fn supersede(&mut self, deployment: &'a DeploymentName) {
        self.superseded.insert(deployment);
        for row in self.revisions.iter_mut().filter(|it| it.revision.deployment == *deployment) {
            row.latest = false;
        }
    }

    fn specify(&mut self, spec: &'a Arc<NodeRoleSpec>) {
        use NodeRoleSlot::{Moved, Put, Removed, Specified};
        let slot = match self.node_roles.get(&spec.id) {
            None | Some(Specified(_)) => Specified(spec),
            Some(Moved(status)) => Put(spec, Some(status)),
            Some(Put(_, status)) => Put(spec, *status),
            Some(Removed) => Put(spec, None),
        };
        self.node_roles.insert(&spec.id, slot);
    }

    fn move_to(&mut self, id: &'a NodeRoleId, status: &'a NodeRoleStatus) -> Result<(), StoreError> {
        use NodeRoleSlot::{Moved, Put, Removed, Specified};
        let slot = match self.node_roles.get(id) {
            None | Some(Moved(_)) => Moved(status),
            Some(Specified(spec) | Put(spec, _)) => Put(spec, Some(status)),
            Some(Removed) => return Err(corrupt("history", &MissingFromWorld(id.clone()))),
        };
        self.node_roles.insert(id, slot);
        Ok(())
    }
}

fn put<'a, K: Ord, V>(slots: &mut Slots<'a, K, V>, key: K, value: &'a V) {
    slots.insert(key, Some(value));
}

fn remove<K: Ord, V>(slots: &mut Slots<'_, K, V>, key: K) {
    slots.insert(key, None);
}
