//! A look at one node-role: carries out what the judgement says. And the mark of doubt that goes downstream when something is run
//! again.

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;
use rebar_model::{
    Attempt, AttemptKind, BuiltinAction, Change, Failure, FailureKind, Mode, NodeRole, NodeRoleId, Outcome, Report,
    Resource, RoleSpec, Runner, State, Trigger, World,
};

use super::{breaker, find, move_to, moved};
use crate::{
    Decision, Effect, Input, Refusal,
    attempt::{apply_kind, has_work, next_attempt},
    judge::{Act, judge},
    resolve::{Resolved, resolve},
    resource::resource_kind,
};

/// Looks at a node-role and lets it do what it can.
pub(super) fn look(world: &World, id: &NodeRoleId, now: Timestamp) -> Result<Decision, Refusal> {
    let node_role = find(world, id)?;
    let mut decision = Decision::default();
    match judge(world, node_role, now).act {
        Act::Stay => {}
        Act::Lose => decision.change(move_to(id, moved(&node_role.status, [Trigger::RequirementLost])?)),
        Act::Settle => {
            let mut status = moved(&node_role.status, [Trigger::UpToDate])?;
            status.tries = 0;
            status.not_before = None;
            decision.change(move_to(id, status));
            look_downstream(world, id, &mut decision);
        }
        Act::Enqueue => {
            decision.change(move_to(id, moved(&node_role.status, [Trigger::RequirementsMet { at: now }])?));
            decision.look(id);
        }
        Act::Apply(resolved) => {
            let kind = apply_kind(node_role, &resolved);
            start(world, node_role, kind, *resolved, now, &mut decision)?;
        }
        Act::Undo(resolved) => start(world, node_role, AttemptKind::Undo, *resolved, now, &mut decision)?,
        Act::Vanish => vanish(world, node_role, &mut decision)?,
        Act::Restart => {
            let mut status = moved(&node_role.status, [Trigger::Retried])?;
            status.tries = 0;
            decision.change(move_to(id, status));
            decision.look(id);
        }
        Act::Miss(message) => miss(world, node_role, message, now, &mut decision)?,
    }
    Ok(decision)
}

/// Looks at everything that requires a node-role, and at what waits for it to be rewired.
pub(super) fn look_downstream(world: &World, id: &NodeRoleId, decision: &mut Decision) {
    for dependant in world.dependants(id) {
        decision.look(dependant);
    }
    look_leaving(world, id, decision);
}

/// Looks at what is to be undone in this deployment and may have waited for `id`.
pub(super) fn look_leaving(world: &World, id: &NodeRoleId, decision: &mut Decision) {
    for other in world.leaving(&id.deployment) {
        if world.node_role(other).is_some_and(|it| it.spec.leave_after.contains(id)) {
            decision.look(other);
        }
    }
}

/// Marks what is downstream of node-roles that are being run again: whether it matters there is not known yet.
pub(super) fn suspect(world: &World, roots: &[NodeRoleId]) -> Result<Decision, Refusal> {
    let mut decision = Decision::default();
    let (mut seen, mut queue) = (BTreeSet::new(), VecDeque::from_iter(roots));
    while let Some(id) = queue.pop_front() {
        for dependant in world.dependants(id) {
            let Some(node_role) = world.node_role(dependant) else { continue };
            if !seen.insert(dependant) || !matches!(node_role.status.state, State::Active { .. }) {
                continue;
            }
            queue.push_back(dependant);
            if node_role.status.state.is_fresh() {
                decision.change(move_to(dependant, moved(&node_role.status, [Trigger::Suspected])?));
            }
        }
    }
    Ok(decision)
}

fn start(
    world: &World,
    node_role: &NodeRole,
    kind: AttemptKind,
    resolved: Resolved,
    now: Timestamp,
    decision: &mut Decision,
) -> Result<(), Refusal> {
    let id = &node_role.spec.id;
    let Some(role) = world.role_of(&node_role.spec) else {
        return Err(Refusal::NotFound { kind: "role", name: id.role.to_string() });
    };
    let role = &role.manifest.spec;
    let attempt = next_attempt(world, node_role, role, kind, resolved, now);
    let trigger = match kind {
        AttemptKind::Undo => Trigger::UndoDispatched { attempt: attempt.id, at: now, deadline: attempt.deadline },
        AttemptKind::Apply | AttemptKind::Replace => {
            Trigger::Dispatched { attempt: attempt.id, at: now, deadline: attempt.deadline }
        }
    };
    let mut status = moved(&node_role.status, [trigger])?;
    status.attempts = attempt.number;
    status.not_before = None;
    decision.change(Change::AttemptPut { attempt: Box::new(attempt.clone()) });
    decision.change(move_to(id, status));
    breaker::starts(world, id, decision);
    match &role.runner {
        Runner::Noop {} => {
            // Only what the role declares; a stand-in passes on what it is told.
            let outputs = attempt.inputs.iter().filter(|(name, _)| role.outputs.contains_key(*name));
            let outputs = outputs.map(|(name, it)| (name.clone(), it.value.clone())).collect();
            decision.next.push(ended(&attempt, Report::Succeeded { outputs, converged: false, note: None }));
        }
        Runner::Builtin { action: BuiltinAction::NodeReboot } => hand_over(role, &attempt, decision),
        Runner::Builtin { .. } if kind == AttemptKind::Undo => {
            decision.change(Change::ResourceRemoved { id: rebar_model::ResourceId(id.clone()) });
            decision.effects.push(Effect::Reconcile);
        }
        Runner::Builtin { action } => match resource_kind(*action, &attempt.inputs) {
            Ok(kind) => {
                let resource = Resource { owner: id.clone(), kind, observed: std::collections::BTreeMap::new() };
                decision.change(Change::ResourcePut { resource: Box::new(resource) });
                decision.effects.push(Effect::Reconcile);
            }
            Err(message) => decision.next.push(ended(&attempt, Report::Failed(setup_failure(message)))),
        },
        runner if runner.missing().is_some() => {
            let what = runner.missing().unwrap_or_default();
            let message = format!("this version does not have {what}");
            decision.next.push(ended(&attempt, Report::Failed(setup_failure(message))));
        }
        _ => hand_over(role, &attempt, decision),
    }
    Ok(())
}

/// Hands an attempt to the agent of its node, if there is anything to do in it.
fn hand_over(role: &RoleSpec, attempt: &Attempt, decision: &mut Decision) {
    match &attempt.node {
        None => {
            let what = role.runner.name();
            let message = format!("the runner `{what}` needs a node: give the role the scope node or leader");
            decision.next.push(ended(attempt, Report::Failed(setup_failure(message))));
        }
        Some(node) if has_work(role, attempt.kind, &attempt.phases) => {
            decision.effects.push(Effect::Dispatch { node: node.clone(), attempt: attempt.id });
        }
        Some(_) => {
            let outputs = std::collections::BTreeMap::new();
            decision.next.push(ended(attempt, Report::Succeeded { outputs, converged: false, note: None }));
        }
    }
}

/// The end of an attempt that its agent never hears of.
fn ended(attempt: &Attempt, report: Report) -> Input {
    Input::AttemptEnded { node: attempt.node.clone(), attempt: attempt.id, report, phase: None }
}

fn setup_failure(message: String) -> Failure {
    Failure { kind: FailureKind::Setup, phase: None, exit_code: None, message, retry_after: None }
}

/// Removes a node-role that left nothing behind, or whose node is gone.
fn vanish(world: &World, node_role: &NodeRole, decision: &mut Decision) -> Result<(), Refusal> {
    if let Some(attempt) = node_role.status.state.attempt().and_then(|it| world.attempts().get(&it)) {
        let mut attempt = attempt.clone();
        attempt.outcome = Some(Outcome::Cancelled);
        decision.change(Change::AttemptPut { attempt: Box::new(attempt) });
    }
    gone(world, node_role, decision)
}

/// What follows when a node-role is gone.
pub(super) fn gone(world: &World, node_role: &NodeRole, decision: &mut Decision) -> Result<(), Refusal> {
    let id = &node_role.spec.id;
    let resource = rebar_model::ResourceId(id.clone());
    if world.resources().contains_key(&resource) {
        decision.change(Change::ResourceRemoved { id: resource });
        decision.effects.push(Effect::Reconcile);
    }
    let mut status = moved(&node_role.status, [Trigger::Undone])?;
    (status.last, status.tries, status.not_before) = (None, 0, None);
    decision.change(move_to(id, status));
    // Those that it required may go now.
    for candidate in node_role.spec.requires.iter().flat_map(|it| &it.candidates) {
        decision.look(candidate);
    }
    look_leaving(world, id, decision);
    let converging = world.deployments().get(&id.deployment).is_none_or(|it| it.mode == Mode::Converging);
    if converging {
        decision.change(Change::NodeRoleRemoved { id: id.clone() });
    } else {
        decision.next.push(Input::Settle { deployment: id.deployment.clone() });
    }
    Ok(())
}

fn miss(
    world: &World,
    node_role: &NodeRole,
    message: String,
    now: Timestamp,
    decision: &mut Decision,
) -> Result<(), Refusal> {
    let key = resolve(world, &node_role.spec).map_or_else(|_| node_role.spec.content, |it| it.key);
    let attempt = node_role.status.last.as_ref().map(|it| it.attempt).unwrap_or_default();
    let trigger = Trigger::FailedForGood { attempt, at: now, failure: setup_failure(message), key };
    let status = match node_role.status.state {
        State::Active { .. } => moved(&node_role.status, [Trigger::RequirementsMet { at: now }, trigger])?,
        _ => moved(&node_role.status, [trigger])?,
    };
    decision.change(move_to(&node_role.spec.id, status));
    Ok(())
}
