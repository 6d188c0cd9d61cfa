//! What must hold of every World, whatever happened: written once, used by the property tests, by the simulation after every step and
//! by the engine in debug builds.

use std::collections::BTreeMap;

use rebar_model::{AttemptKind, BreakerState, NodeName, NodeRoleId, Requirement, State, StepState, Take, World};

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An attempt is under way without the node-role that it belongs to saying so.
    #[error("{attempt} is under way, but {id} is not running it")]
    Orphan {
        /// The attempt.
        attempt: rebar_model::AttemptId,
        /// The node-role.
        id: NodeRoleId,
    },
    /// A node-role says that it runs an attempt which is not under way.
    #[error("{id} says that it runs {attempt}, which is not under way")]
    Ghost {
        /// The attempt.
        attempt: rebar_model::AttemptId,
        /// The node-role.
        id: NodeRoleId,
    },
    /// Two node-roles hold one lock.
    #[error("{first} and {second} hold one lock on one node")]
    SharedLock {
        /// The one.
        first: NodeRoleId,
        /// The other.
        second: NodeRoleId,
    },
    /// An active node-role has no outputs of a success.
    #[error("{id} is active without ever having succeeded")]
    NeverSucceeded {
        /// Which one.
        id: NodeRoleId,
    },
    /// An attempt started before what it requires was active.
    #[error("{id} started before {missing} was active")]
    TooEarly {
        /// Which one.
        id: NodeRoleId,
        /// What was missing.
        missing: NodeRoleId,
    },
    /// An attempt started behind an open breaker.
    #[error("{attempt} of {id} started behind an open breaker")]
    BehindBreaker {
        /// The attempt.
        attempt: rebar_model::AttemptId,
        /// The node-role.
        id: NodeRoleId,
    },
    /// More agents are being upgraded at once than may be.
    #[error("{busy} agents are being upgraded at once, and {most} may be")]
    TooManyAgents {
        /// How many.
        busy: usize,
        /// How many may be.
        most: usize,
    },
    /// An agent was told of an upgrade before those that go first had stayed.
    #[error("the agent of {node} was told before those that go first had stayed")]
    AheadOfCanaries {
        /// Whose.
        node: NodeName,
    },
}

/// Everything that is wrong with a World.
pub fn violations(world: &World) -> Vec<Violation> {
    let mut found = Vec::new();
    for (attempt, it) in world.attempts() {
        let runs = world.node_role(&it.node_role).and_then(|it| it.status.state.attempt());
        if runs != Some(*attempt) {
            found.push(Violation::Orphan { attempt: *attempt, id: it.node_role.clone() });
        }
        let breaker = world.deployments().get(&it.node_role.deployment).map(|it| &it.breaker.state);
        if matches!(breaker, Some(BreakerState::Open { next, .. }) if attempt >= next) {
            found.push(Violation::BehindBreaker { attempt: *attempt, id: it.node_role.clone() });
        }
    }
    let mut locks = BTreeMap::new();
    for (id, node_role) in world.node_roles() {
        if let Some(attempt) = node_role.status.state.attempt() {
            if !world.attempts().contains_key(&attempt) {
                found.push(Violation::Ghost { attempt, id: id.clone() });
            }
            if let Some(lock) = &node_role.spec.lock
                && let Some(first) = locks.insert((&node_role.spec.agent, lock), id)
            {
                found.push(Violation::SharedLock { first: first.clone(), second: id.clone() });
            }
        }
        if matches!(node_role.status.state, State::Active { .. }) && node_role.status.last.is_none() {
            found.push(Violation::NeverSucceeded { id: id.clone() });
        }
    }
    found.extend(upgrade_violations(world));
    found
}

/// What is wrong with the upgrade of the agents.
fn upgrade_violations(world: &World) -> Vec<Violation> {
    let mut found = Vec::new();
    let Some(upgrade) = world.agent_upgrade() else { return found };
    let step = |node: &NodeName| {
        let step = world.agents().get(node)?.step.as_ref()?;
        (step.upgrade == upgrade.no).then_some(&step.state)
    };
    let busy = world.upgrading().filter(|it| step(it).is_some()).count();
    let most = upgrade.max_in_flight.max(upgrade.canaries) as usize;
    if busy > most {
        found.push(Violation::TooManyAgents { busy, most });
    }
    let stayed = |it: &&NodeName| step(it).is_none_or(|it| matches!(it, StepState::Done { .. }));
    if !upgrade.first.iter().all(|it| stayed(&it)) {
        let behind = world.agents().keys().filter(|it| !upgrade.first.contains(it) && step(it).is_some());
        found.extend(behind.map(|node| Violation::AheadOfCanaries { node: node.clone() }));
    }
    found
}

/// Whether an attempt that just started was allowed to: to be asked in the step that starts it.
pub fn started_too_early(world: &World, id: &NodeRoleId) -> Option<Violation> {
    let node_role = world.node_role(id)?;
    let attempt = world.attempts().get(&node_role.status.state.attempt()?)?;
    if attempt.kind == AttemptKind::Undo {
        return None;
    }
    let fresh = |id: &&NodeRoleId| world.node_role(id).is_some_and(|it| it.status.state.is_fresh());
    let enough = |it: &&Requirement| {
        let active = it.candidates.iter().filter(fresh).count();
        match it.take {
            Take::Any => active > 0,
            Take::Quorum => active * 2 > it.candidates.len(),
            _ => active == it.candidates.len(),
        }
    };
    let broken = node_role.spec.requires.iter().find(|it| !enough(it))?;
    let missing = broken.candidates.iter().find(|it| !fresh(it))?;
    Some(Violation::TooEarly { id: id.clone(), missing: missing.clone() })
}
