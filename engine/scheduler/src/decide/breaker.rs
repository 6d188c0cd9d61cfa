//! The breaker of a deployment: what failures and successes do to it, and what people do. That nothing starts behind one that is open is
//! `judge.rs`.

use jiff::Timestamp;
use rebar_model::{
    Actor, AttemptId, Breaker, BreakerState, Change, Deployment, DeploymentName, Evidence, FailureKind, NodeName,
    NodeRole, NodeRoleId, State, World,
};

use super::lifecycle::find;
use crate::{Decision, Refusal};

/// What the breaker of a deployment bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// On how many nodes attempts may fail.
    pub max_failed: Option<u32>,
    /// How many attempts in a row open it.
    pub consecutive: Option<u32>,
}

/// What the breaker of a deployment bears, by the workload of its last plan. A share of its nodes is rounded down.
pub fn bounds(world: &World, deployment: &Deployment) -> Bounds {
    let applied = world.revision(&deployment.name).map_or(&deployment.spec, |it| &it.wishes.spec);
    let workload = world.workloads().get(&applied.workload);
    let spec = workload.and_then(|it| it.spec.rollout.as_ref()?.breaker.as_ref());
    let nodes: std::collections::BTreeSet<&NodeName> = applied.groups.values().flatten().collect();
    Bounds {
        max_failed: spec.and_then(|it| it.max_failed).map(|it| it.of(nodes.len())),
        consecutive: spec.and_then(|it| it.consecutive),
    }
}

/// An attempt failed. That a role asked to be tried again is no failure, unless it was the last time.
pub(super) fn failed(
    world: &World,
    node_role: &NodeRole,
    (attempt, kind, for_good): (AttemptId, FailureKind, bool),
    now: Timestamp,
    decision: &mut Decision,
) {
    let id = &node_role.spec.id;
    let Some(deployment) = world.deployments().get(&id.deployment) else { return };
    if kind == FailureKind::Tempfail && !for_good {
        return;
    }
    let mut breaker = deployment.breaker.clone();
    let next = world.next_attempt();
    let open = |evidence| BreakerState::Open { since: now, by: Actor::engine(), evidence, next };
    match &breaker.state {
        // What had started before it opened.
        BreakerState::Open { .. } => return,
        BreakerState::HalfOpen { probe, .. } if probe.as_ref() == Some(id) => {
            breaker.state = open(Evidence::Probe { attempt });
        }
        BreakerState::HalfOpen { .. } => return,
        BreakerState::Closed => {
            let bounds = bounds(world, deployment);
            if bounds == (Bounds { max_failed: None, consecutive: None }) {
                return;
            }
            breaker.in_a_row += 1;
            breaker.failed.extend(id.node().cloned());
            let nodes = u32::try_from(breaker.failed.len()).unwrap_or(u32::MAX);
            if let Some(allowed) = bounds.max_failed.filter(|it| nodes > *it) {
                breaker.state = open(Evidence::Failed { nodes, allowed, attempt });
            } else if bounds.consecutive.is_some_and(|it| breaker.in_a_row >= it) {
                breaker.state = open(Evidence::Consecutive { failures: breaker.in_a_row, attempt });
            }
        }
    }
    put(deployment, breaker, decision);
}

/// An attempt succeeded.
pub(super) fn succeeded(world: &World, node_role: &NodeRole, decision: &mut Decision) {
    let id = &node_role.spec.id;
    let Some(deployment) = world.deployments().get(&id.deployment) else { return };
    let breaker = &deployment.breaker;
    match &breaker.state {
        BreakerState::HalfOpen { probe: Some(probe), .. } if probe == id => {
            put(deployment, Breaker::default(), decision);
            look_at_all(world, &id.deployment, decision);
        }
        BreakerState::Closed if breaker.in_a_row > 0 => {
            put(deployment, Breaker { in_a_row: 0, ..breaker.clone() }, decision);
        }
        _ => {}
    }
}

/// An attempt starts: where one may be tried, this is the one.
pub(super) fn starts(world: &World, id: &NodeRoleId, decision: &mut Decision) {
    let Some(deployment) = world.deployments().get(&id.deployment) else { return };
    if let BreakerState::HalfOpen { since, by, probe } = &deployment.breaker.state
        && probe.as_ref() != Some(id)
    {
        let state = BreakerState::HalfOpen { since: *since, by: by.clone(), probe: Some(id.clone()) };
        put(deployment, Breaker { state, ..deployment.breaker.clone() }, decision);
    }
}

/// The one that is tried, as long as it may still come to an end.
pub(crate) fn probe<'a>(world: &World, state: &'a BreakerState) -> Option<&'a NodeRoleId> {
    let BreakerState::HalfOpen { probe: Some(probe), .. } = state else { return None };
    let tried = |it: &NodeRole| match it.status.state {
        State::Waiting | State::Queued { .. } | State::Running { .. } | State::Undoing { .. } => true,
        State::Active { .. } => !it.status.state.is_fresh(),
        State::Failed { .. } | State::Removed => false,
    };
    world.node_role(probe).is_some_and(tried).then_some(probe)
}

/// A person opens it.
pub(super) fn trip(
    world: &World,
    name: &DeploymentName,
    reason: String,
    by: &Actor,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let deployment = find(world, name)?;
    let mut decision = Decision::default();
    if !matches!(deployment.breaker.state, BreakerState::Open { .. }) {
        let (evidence, next) = (Evidence::Manual { reason }, world.next_attempt());
        let state = BreakerState::Open { since: now, by: by.clone(), evidence, next };
        put(deployment, Breaker { state, ..deployment.breaker.clone() }, &mut decision);
    }
    Ok(decision)
}

/// A person closes it, or lets one through to try. What it has counted is forgotten.
pub(super) fn reset(
    world: &World,
    name: &DeploymentName,
    probe: bool,
    by: &Actor,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let deployment = find(world, name)?;
    let mut decision = Decision::default();
    let open = !matches!(deployment.breaker.state, BreakerState::Closed);
    let half_open = BreakerState::HalfOpen { since: now, by: by.clone(), probe: None };
    let state = if open && probe { half_open } else { BreakerState::Closed };
    put(deployment, Breaker { state, ..Breaker::default() }, &mut decision);
    look_at_all(world, name, &mut decision);
    Ok(decision)
}

fn put(deployment: &Deployment, breaker: Breaker, decision: &mut Decision) {
    let deployment = Deployment { breaker, ..deployment.clone() };
    decision.change(Change::DeploymentPut { deployment: Box::new(deployment) });
}

fn look_at_all(world: &World, name: &DeploymentName, decision: &mut Decision) {
    for (id, _) in world.node_roles_of(name) {
        decision.look(id);
    }
}
