//! The one judgement about a node-role: what it can do now, and if nothing, why. The scheduler acts on [`Act`], the verdict shows
//! the reasons; so what people are told is what the engine thinks.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rebar_model::{
    AttemptKind, BreakerState, Freshness, Intent, Mode, NodeMode, NodeRole, NodeRoleId, Reason, Requirement, Runner,
    State, Take, World,
};

use crate::{
    attempt::{has_work, phases_of},
    decide::breaker::probe,
    resolve::{Resolved, resolve},
};

/// How many unmet requirements a reason names.
const NAMED: usize = 5;

/// What a node-role can do now.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Nothing.
    Stay,
    /// Go back from Queued to Waiting.
    Lose,
    /// Become Active without running: its key is that of its last success.
    Settle,
    /// Join the queue.
    Enqueue,
    /// Start an attempt to apply.
    Apply(Box<Resolved>),
    /// Start an attempt to undo.
    Undo(Box<Resolved>),
    /// Become Removed without running.
    Vanish,
    /// Leave Failed, because its inputs are others now.
    Restart,
    /// Fail without running: an input has no value.
    Miss(String),
}

/// What a node-role can do now, and if nothing, why.
#[derive(Debug, Clone)]
pub(crate) struct Judgement {
    pub act: Act,
    pub reasons: Vec<Reason>,
}

impl Judgement {
    fn act(act: Act) -> Self {
        Self { act, reasons: Vec::new() }
    }

    fn stay(reasons: Vec<Reason>) -> Self {
        Self { act: Act::Stay, reasons }
    }
}

/// Judges a node-role.
pub(crate) fn judge(world: &World, node_role: &NodeRole, now: Timestamp) -> Judgement {
    match node_role.status.intent {
        Intent::Present => present(world, node_role, now),
        Intent::Absent => absent(world, node_role, now),
        Intent::Forgotten if node_role.status.state == State::Removed => Judgement::stay(Vec::new()),
        Intent::Forgotten => Judgement::act(Act::Vanish),
    }
}

fn present(world: &World, node_role: &NodeRole, now: Timestamp) -> Judgement {
    let status = &node_role.status;
    match &status.state {
        State::Removed | State::Active { freshness: Freshness::Fresh } => Judgement::stay(Vec::new()),
        State::Running { .. } | State::Undoing { .. } => Judgement::stay(vec![running(world, node_role)]),
        State::Failed { attempt, failure, key, .. } => {
            let failed = Reason::Failed { attempt: *attempt, number: status.attempts, failure: failure.clone() };
            if unmet(world, node_role).is_some() {
                return Judgement::stay(vec![failed]);
            }
            match resolve(world, &node_role.spec) {
                Ok(resolved) if resolved.key != *key => Judgement::act(Act::Restart),
                _ => Judgement::stay(vec![failed]),
            }
        }
        State::Waiting | State::Active { .. } => match unmet(world, node_role) {
            Some(reason) => Judgement::stay(vec![reason]),
            None => match resolve(world, &node_role.spec) {
                Err(missing) => Judgement::act(Act::Miss(format!("input `{}`: {}", missing.input, missing.detail))),
                Ok(resolved) if status.last.as_ref().is_some_and(|it| it.key == resolved.key) => {
                    Judgement::act(Act::Settle)
                }
                Ok(_) => Judgement::act(Act::Enqueue),
            },
        },
        State::Queued { .. } => {
            if let Some(reason) = unmet(world, node_role) {
                return Judgement { act: Act::Lose, reasons: vec![reason] };
            }
            let held = held_back(world, node_role, now);
            if !held.is_empty() {
                return Judgement::stay(held);
            }
            match resolve(world, &node_role.spec) {
                Ok(resolved) => Judgement::act(Act::Apply(Box::new(resolved))),
                Err(missing) => Judgement::act(Act::Miss(format!("input `{}`: {}", missing.input, missing.detail))),
            }
        }
    }
}

fn absent(world: &World, node_role: &NodeRole, now: Timestamp) -> Judgement {
    let status = &node_role.status;
    match status.state {
        State::Removed => return Judgement::stay(Vec::new()),
        State::Running { .. } | State::Undoing { .. } => return Judgement::stay(vec![running(world, node_role)]),
        // An undo that failed for good waits for a person; anything else that failed is undone.
        State::Failed { attempt, ref failure, .. } if failure.phase.is_some_and(is_leaving) => {
            return Judgement::stay(vec![Reason::Failed {
                attempt,
                number: status.attempts,
                failure: failure.clone(),
            }]);
        }
        _ => {}
    }
    let first = before_undo(world, node_role);
    if !first.is_empty() {
        return Judgement::stay(vec![Reason::DependantsFirst { dependants: first }]);
    }
    if !status.left_traces() || !can_undo(world, node_role) {
        return Judgement::act(Act::Vanish);
    }
    let held = held_back(world, node_role, now);
    if !held.is_empty() {
        return Judgement::stay(held);
    }
    match resolve(world, &node_role.spec) {
        Ok(resolved) => Judgement::act(Act::Undo(Box::new(resolved))),
        // What it was made from is gone or never came, so there is nothing that its undo could be told.
        Err(_) => Judgement::act(Act::Vanish),
    }
}

fn is_leaving(phase: rebar_model::Phase) -> bool {
    matches!(phase, rebar_model::Phase::Drain | rebar_model::Phase::Undo)
}

/// Who has to go, or to be rewired, before this one is undone.
fn before_undo(world: &World, node_role: &NodeRole) -> Vec<NodeRoleId> {
    let gone = |id: &NodeRoleId| world.node_role(id).is_none_or(|it| it.status.state == State::Removed);
    let settled = |id: &NodeRoleId| {
        world.node_role(id).is_none_or(|it| match it.status.intent {
            Intent::Present => it.status.state.is_fresh() || matches!(it.status.state, State::Failed { .. }),
            Intent::Absent | Intent::Forgotten => it.status.state == State::Removed,
        })
    };
    let id = &node_role.spec.id;
    let dependants = world.dependants(id).filter(|it| !gone(it));
    let leaving = node_role.spec.leave_after.iter().filter(|it| !settled(it));
    dependants.chain(leaving).take(NAMED).cloned().collect()
}

/// Whether there is anything to do when it goes.
fn can_undo(world: &World, node_role: &NodeRole) -> bool {
    world.role_of(&node_role.spec).is_some_and(|role| {
        let role = &role.manifest.spec;
        match &role.runner {
            Runner::Noop {} => false,
            Runner::Builtin { .. } if !role.runner.on_agent() => true,
            _ => has_work(role, AttemptKind::Undo, &phases_of(role, AttemptKind::Undo, false)),
        }
    })
}

fn running(world: &World, node_role: &NodeRole) -> Reason {
    let id = node_role.status.state.attempt().unwrap_or_default();
    let attempt = world.attempts().get(&id);
    Reason::Running {
        attempt: id,
        number: node_role.status.attempts,
        since: attempt.map_or(Timestamp::UNIX_EPOCH, |it| it.started_at),
        deadline: node_role.status.state.deadline().unwrap_or(Timestamp::MAX),
        phase: None,
    }
}

/// Why the requirements of a node-role are not met; none if they are.
pub(crate) fn unmet(world: &World, node_role: &NodeRole) -> Option<Reason> {
    let (mut missing, mut count) = (Vec::new(), 0);
    for requirement in &node_role.spec.requires {
        let open: Vec<_> = requirement.candidates.iter().filter(|id| !is_met(world, id)).collect();
        if !is_enough(requirement, open.len()) {
            count += open.len();
            missing.extend(open.into_iter().take(NAMED).cloned());
        }
    }
    if count == 0 {
        return None;
    }
    let mut seen = BTreeSet::new();
    if let Some(root) = missing.iter().find_map(|id| failed_root(world, id, 0, &mut seen)) {
        return Some(Reason::UpstreamFailed { root });
    }
    missing.truncate(NAMED);
    Some(Reason::UpstreamWaiting { unmet: missing, count })
}

fn is_met(world: &World, id: &NodeRoleId) -> bool {
    world.node_role(id).is_some_and(|it| it.status.state.is_fresh())
}

fn is_enough(requirement: &Requirement, open: usize) -> bool {
    let all = requirement.candidates.len();
    match requirement.take {
        Take::Any => open < all || all == 0,
        Take::Quorum => (all - open) * 2 > all || all == 0,
        _ => open == 0,
    }
}

/// How far up a failure is looked for; deeper graphs say `waiting` and name their neighbours.
const MAX_DEPTH: u32 = 64;

/// The failed node-role that holds this one up, if that is why. Many ways may lead to one node-role, which is looked at once.
fn failed_root<'a>(
    world: &'a World,
    id: &'a NodeRoleId,
    depth: u32,
    seen: &mut BTreeSet<&'a NodeRoleId>,
) -> Option<NodeRoleId> {
    if !seen.insert(id) {
        return None;
    }
    let node_role = world.node_role(id)?;
    match node_role.status.state {
        State::Failed { .. } => Some(id.clone()),
        State::Waiting | State::Active { freshness: Freshness::Suspect | Freshness::Stale } if depth < MAX_DEPTH => {
            let first_open =
                node_role.spec.requires.iter().flat_map(|it| &it.candidates).filter(|it| !is_met(world, it));
            first_open.take(NAMED).find_map(|it| failed_root(world, it, depth + 1, seen))
        }
        _ => None,
    }
}

/// What keeps a node-role that could start from starting.
fn held_back(world: &World, node_role: &NodeRole, now: Timestamp) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let (spec, status) = (&node_role.spec, &node_role.status);
    let deployment = world.deployments().get(&spec.id.deployment);
    if let Some(reason) = deployment.and_then(|it| it.paused.clone()) {
        reasons.push(Reason::Paused { reason });
    }
    match deployment.map(|it| &it.breaker.state) {
        Some(BreakerState::Open { since, evidence, .. }) => {
            reasons.push(Reason::BreakerOpen { since: *since, evidence: evidence.clone() });
        }
        Some(state) => {
            let other = probe(world, state).filter(|it| **it != spec.id);
            reasons.extend(other.map(|it| Reason::BreakerTries { probe: it.clone() }));
        }
        None => {}
    }
    if let Some(name) = &spec.agent {
        match world.nodes().get(name) {
            None => reasons.push(Reason::NodeAway { node: name.clone(), since: None }),
            Some(node) => {
                let undoing =
                    status.intent != Intent::Present || deployment.is_some_and(|it| it.mode != Mode::Converging);
                match &node.mode {
                    NodeMode::Maintenance { reason } if !undoing => {
                        reasons.push(Reason::NodeMaintenance { node: name.clone(), reason: reason.clone() });
                    }
                    _ => {}
                }
                match node.connection {
                    rebar_model::Connection::Here { .. } => {}
                    rebar_model::Connection::Never => {
                        reasons.push(Reason::NodeAway { node: name.clone(), since: None });
                    }
                    rebar_model::Connection::Away { since } => {
                        reasons.push(Reason::NodeAway { node: name.clone(), since: Some(since) });
                    }
                }
            }
        }
    }
    if let Some(until) = status.not_before.filter(|it| *it > now) {
        reasons.push(Reason::BackOff { until, tries: status.tries });
    }
    if let Some(lock) = &spec.lock
        && let Some(holder) = world.lock_holder(spec.agent.as_ref(), lock)
    {
        reasons.push(Reason::LockHeld { lock: lock.clone(), holder: holder.clone() });
    }
    if let Some(limit) = concurrency_limit(world, node_role) {
        reasons.push(Reason::ConcurrencyLimit { limit });
    }
    reasons
}

/// The limit of the role, if as many instances are running.
fn concurrency_limit(world: &World, node_role: &NodeRole) -> Option<u32> {
    let role = world.role_of(&node_role.spec)?;
    let limit = role.manifest.spec.concurrency.as_ref()?.per_deployment?;
    let id = &node_role.spec.id;
    let running = world
        .node_roles_of(&id.deployment)
        .filter(|(other, it)| other.role == id.role && it.status.state.attempt().is_some())
        .count();
    (running >= limit as usize).then_some(limit)
}
