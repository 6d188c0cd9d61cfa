//! Everything that the engine knows, in memory. [`World::apply`] is the only mutation; the engine, the stores, the simulation
//! and the tests share it. What can be found quickly in it is `world/index.rs`; deciding what to change is the work of
//! `rebar-scheduler`.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use semver::Version;

mod index;

use self::index::Index;
use crate::{
    Agent, AgentRelease, AgentUpgrade, ApiToken, Attempt, AttemptId, Change, Deployment, DeploymentName, Digest,
    EnrolToken, Epoch, Ident, LockName, Node, NodeName, NodeRole, NodeRoleId, NodeRoleSpec, NodeRoleStatus, Parameter,
    ParameterScope, Record, Resource, ResourceId, Revision, RoleDefinition, RoleName, Seq, Target, TokenHash, Workload,
};

/// Everything that the engine knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    epoch: Epoch,
    applied: Seq,
    last_attempt: AttemptId,
    nodes: BTreeMap<NodeName, Node>,
    workloads: BTreeMap<Digest, Arc<Workload>>,
    parameters: BTreeMap<ParameterScope, BTreeMap<Ident, Parameter>>,
    deployments: BTreeMap<DeploymentName, Deployment>,
    revisions: BTreeMap<DeploymentName, Revision>,
    node_roles: BTreeMap<NodeRoleId, NodeRole>,
    attempts: BTreeMap<AttemptId, Attempt>,
    resources: BTreeMap<ResourceId, Resource>,
    agents: BTreeMap<NodeName, Agent>,
    agent_releases: BTreeMap<Version, Arc<AgentRelease>>,
    agent_upgrade: Option<AgentUpgrade>,
    enrol_tokens: BTreeMap<TokenHash, EnrolToken>,
    api_tokens: BTreeMap<TokenHash, ApiToken>,
    index: Index,
}

/// A change that speaks of something that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a change moves {0}, which is not there")]
pub struct MissingFromWorld(pub NodeRoleId);

impl World {
    /// The epoch of the engine that leads.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last change that was applied.
    pub fn applied(&self) -> Seq {
        self.applied
    }

    /// The number of the next attempt.
    pub fn next_attempt(&self) -> AttemptId {
        self.last_attempt.next()
    }

    /// All nodes.
    pub fn nodes(&self) -> &BTreeMap<NodeName, Node> {
        &self.nodes
    }

    /// All workload versions.
    pub fn workloads(&self) -> &BTreeMap<Digest, Arc<Workload>> {
        &self.workloads
    }

    /// All parameters that somebody set.
    pub fn parameters(&self) -> &BTreeMap<ParameterScope, BTreeMap<Ident, Parameter>> {
        &self.parameters
    }

    /// One parameter at one level.
    pub fn parameter(&self, scope: &ParameterScope, name: &Ident) -> Option<&Parameter> {
        self.parameters.get(scope)?.get(name)
    }

    /// All deployments.
    pub fn deployments(&self) -> &BTreeMap<DeploymentName, Deployment> {
        &self.deployments
    }

    /// The last accepted plan of a deployment.
    pub fn revision(&self, deployment: &DeploymentName) -> Option<&Revision> {
        self.revisions.get(deployment)
    }

    /// All node-roles.
    pub fn node_roles(&self) -> &BTreeMap<NodeRoleId, NodeRole> {
        &self.node_roles
    }

    /// One node-role.
    pub fn node_role(&self, id: &NodeRoleId) -> Option<&NodeRole> {
        self.node_roles.get(id)
    }

    /// The node-roles of a deployment.
    pub fn node_roles_of(
        &self,
        deployment: &DeploymentName,
    ) -> impl Iterator<Item = (&NodeRoleId, &NodeRole)> + use<'_> {
        let first = NodeRoleId { deployment: deployment.clone(), role: RoleName::lowest(), target: Target::Deployment };
        let deployment = deployment.clone();
        self.node_roles.range(first..).take_while(move |(id, _)| id.deployment == deployment)
    }

    /// The definition of a node-role's role.
    pub fn role_of(&self, spec: &NodeRoleSpec) -> Option<&Arc<RoleDefinition>> {
        self.workloads.get(&spec.workload)?.roles.get(&spec.id.role)
    }

    /// The definition of the role that an attempt carries out.
    pub fn role_carried_out(&self, attempt: &Attempt) -> Option<&Arc<RoleDefinition>> {
        self.workloads.get(&attempt.workload)?.roles.get(&attempt.node_role.role)
    }

    /// The attempts under way.
    pub fn attempts(&self) -> &BTreeMap<AttemptId, Attempt> {
        &self.attempts
    }

    /// All resources.
    pub fn resources(&self) -> &BTreeMap<ResourceId, Resource> {
        &self.resources
    }

    /// The agents that ever came, and those that were told of an upgrade.
    pub fn agents(&self) -> &BTreeMap<NodeName, Agent> {
        &self.agents
    }

    /// All releases of the agent.
    pub fn agent_releases(&self) -> &BTreeMap<Version, Arc<AgentRelease>> {
        &self.agent_releases
    }

    /// The last upgrade of the agents.
    pub fn agent_upgrade(&self) -> Option<&AgentUpgrade> {
        self.agent_upgrade.as_ref()
    }

    /// The agents that are about to become another release.
    pub fn upgrading(&self) -> impl ExactSizeIterator<Item = &NodeName> {
        self.index.upgrading.iter()
    }

    /// The next moment at which an agent's upgrade is due, and whose.
    pub fn next_upgrade_due(&self) -> Option<&(Timestamp, NodeName)> {
        self.index.upgrades_due.first()
    }

    /// The agents whose upgrade is due at a moment.
    pub fn upgrades_due(&self, now: Timestamp) -> impl Iterator<Item = &NodeName> {
        self.index.upgrades_due.iter().take_while(move |(at, _)| *at <= now).map(|(_, node)| node)
    }

    /// All enrolment tokens.
    pub fn enrol_tokens(&self) -> &BTreeMap<TokenHash, EnrolToken> {
        &self.enrol_tokens
    }

    /// All operators' tokens.
    pub fn api_tokens(&self) -> &BTreeMap<TokenHash, ApiToken> {
        &self.api_tokens
    }

    /// The node-roles that require this one.
    pub fn dependants(&self, id: &NodeRoleId) -> impl Iterator<Item = &NodeRoleId> {
        self.index.dependants.get(id).into_iter().flatten()
    }

    /// The queued node-roles of a node, or of the engine itself.
    pub fn queued_on(&self, node: Option<&NodeName>) -> impl Iterator<Item = &NodeRoleId> {
        self.index.queued.get(&node.cloned()).into_iter().flatten()
    }

    /// The node-roles that a node's agent, or the engine itself, carries out.
    pub fn carried_out_by(&self, node: Option<&NodeName>) -> impl Iterator<Item = &NodeRoleId> {
        self.index.carried_out.get(&node.cloned()).into_iter().flatten()
    }

    /// The node-roles of a deployment that are to be undone.
    pub fn leaving(&self, deployment: &DeploymentName) -> impl Iterator<Item = &NodeRoleId> {
        self.index.leaving.get(deployment).into_iter().flatten()
    }

    /// All queued node-roles.
    pub fn queued(&self) -> impl Iterator<Item = &NodeRoleId> {
        self.index.queued.values().flatten()
    }

    /// The node-roles of a node, or of the engine itself, that have an attempt under way.
    pub fn running_on(&self, node: Option<&NodeName>) -> impl Iterator<Item = &NodeRoleId> {
        self.index.running.get(&node.cloned()).into_iter().flatten()
    }

    /// Who holds a lock of a node.
    pub fn lock_holder(&self, node: Option<&NodeName>, lock: &LockName) -> Option<&NodeRoleId> {
        self.running_on(node).find(|id| self.node_roles.get(*id).is_some_and(|it| it.spec.lock.as_ref() == Some(lock)))
    }

    /// The next moment at which something is due, and what.
    pub fn next_timer(&self) -> Option<&(Timestamp, NodeRoleId)> {
        self.index.timers.first()
    }

    /// What is due at a moment.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &NodeRoleId> {
        self.index.timers.iter().take_while(move |(at, _)| *at <= now).map(|(_, id)| id)
    }

    /// How many node-roles of a deployment stand where, by word.
    pub fn counts(&self, deployment: &DeploymentName) -> BTreeMap<&'static str, usize> {
        self.index.counts.get(deployment).cloned().unwrap_or_default()
    }

    /// Applies a committed change with its place in history.
    pub fn apply_record(&mut self, record: &Record) -> Result<(), MissingFromWorld> {
        self.apply(&record.change)?;
        self.applied = record.seq;
        Ok(())
    }

    /// Says how far history went; used by stores that load projections instead of replaying.
    pub fn set_applied(&mut self, seq: Seq, last_attempt: AttemptId) {
        self.applied = seq;
        self.last_attempt = last_attempt;
    }

    /// Applies a change: the only mutation of a World.
    pub fn apply(&mut self, change: &Change) -> Result<(), MissingFromWorld> {
        match change {
            Change::EpochBegan { epoch } => self.epoch = *epoch,
            Change::NodePut { node } => put(&mut self.nodes, node.name.clone(), (**node).clone()),
            Change::NodeRemoved { name } => {
                self.nodes.remove(name);
                self.forget_agent(name);
                self.parameters.remove(&ParameterScope::Node(name.clone()));
            }
            Change::WorkloadImported { workload } => put(&mut self.workloads, workload.digest, workload.clone()),
            Change::WorkloadRemoved { digest } => drop(self.workloads.remove(digest)),
            Change::ParameterSet { scope, name, parameter } => self.set_parameter(scope, name, parameter.as_ref()),
            Change::DeploymentPut { deployment } => {
                put(&mut self.deployments, deployment.name.clone(), (**deployment).clone());
            }
            Change::DeploymentRemoved { name } => {
                self.deployments.remove(name);
                self.revisions.remove(name);
                self.index.counts.remove(name);
                self.parameters.remove(&ParameterScope::Deployment(name.clone()));
            }
            Change::RevisionAccepted { revision } => {
                put(&mut self.revisions, revision.deployment.clone(), (**revision).clone());
            }
            Change::NodeRoleSpecified { spec } => self.specify(spec),
            Change::NodeRoleMoved { id, status } => self.move_to(id, status)?,
            Change::NodeRoleRemoved { id } => self.forget(id),
            Change::AttemptPut { attempt } => self.put_attempt(attempt),
            Change::ResourcePut { resource } => put(&mut self.resources, resource.id(), (**resource).clone()),
            Change::ResourceRemoved { id } => drop(self.resources.remove(id)),
            Change::AgentReleasePut { release } => {
                put(&mut self.agent_releases, release.version.clone(), release.clone());
            }
            Change::AgentPut { agent } => self.put_agent(agent),
            Change::AgentUpgradePut { upgrade } => self.agent_upgrade = Some((**upgrade).clone()),
            Change::EnrolTokenPut { token } => put(&mut self.enrol_tokens, token.hash, token.clone()),
            Change::EnrolTokenRemoved { hash } => drop(self.enrol_tokens.remove(hash)),
            Change::ApiTokenPut { token } => put(&mut self.api_tokens, token.hash, token.clone()),
            Change::ApiTokenRemoved { hash } => drop(self.api_tokens.remove(hash)),
        }
        Ok(())
    }

    fn set_parameter(&mut self, scope: &ParameterScope, name: &Ident, parameter: Option<&Parameter>) {
        let level = self.parameters.entry(scope.clone()).or_default();
        match parameter {
            Some(it) => put(level, name.clone(), it.clone()),
            None => drop(level.remove(name)),
        }
        if level.is_empty() {
            self.parameters.remove(scope);
        }
    }

    fn put_attempt(&mut self, attempt: &Attempt) {
        self.last_attempt = self.last_attempt.max(attempt.id);
        if attempt.outcome.is_some() {
            self.attempts.remove(&attempt.id);
        } else {
            self.attempts.insert(attempt.id, attempt.clone());
        }
    }

    fn put_agent(&mut self, agent: &Agent) {
        self.forget_agent(&agent.node);
        self.index.list_agent(agent);
        self.agents.insert(agent.node.clone(), agent.clone());
    }

    fn forget_agent(&mut self, node: &NodeName) {
        if let Some(known) = self.agents.remove(node) {
            self.index.unlist_agent(&known);
        }
    }

    fn specify(&mut self, spec: &Arc<NodeRoleSpec>) {
        let status = match self.node_roles.get(&spec.id) {
            Some(known) => {
                self.index.forget(known);
                known.status.clone()
            }
            None => NodeRoleStatus::new(),
        };
        let node_role = NodeRole { spec: spec.clone(), status };
        self.index.learn(&node_role);
        self.node_roles.insert(spec.id.clone(), node_role);
    }

    fn move_to(&mut self, id: &NodeRoleId, status: &NodeRoleStatus) -> Result<(), MissingFromWorld> {
        let node_role = self.node_roles.get_mut(id).ok_or_else(|| MissingFromWorld(id.clone()))?;
        self.index.unlist(node_role);
        node_role.status = status.clone();
        self.index.list(node_role);
        Ok(())
    }

    fn forget(&mut self, id: &NodeRoleId) {
        if let Some(known) = self.node_roles.remove(id) {
            self.index.forget(&known);
        }
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    map.insert(key, value);
}
