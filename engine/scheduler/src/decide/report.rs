//! The end of an attempt: success, failure for now or for good, cancellation; and what may start because of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rebar_model::{
    Attempt, AttemptId, AttemptKind, Change, Failure, FailureKind, Ident, Intent, NodeName, NodeRole, Outcome, Phase,
    Report, Resource, State, Success, Trigger, World,
};
use serde_json::Value;

use super::{
    breaker, find,
    look::{gone, look_downstream, look_leaving},
    move_to, moved,
};
use crate::{Decision, Effect, Input, Refusal, back_off, judge::unmet, resolve::resolve};

/// An attempt ended, says its node or the engine itself.
pub(super) fn ended(
    world: &World,
    node: Option<&NodeName>,
    attempt: AttemptId,
    report: Report,
    phase: Option<Phase>,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let mut decision = Decision::default();
    let Some(known) = world.attempts().get(&attempt) else {
        // It ended already, was given up, or is of an engine before this one: the agent may forget it.
        release(node, attempt, &mut decision);
        return Ok(decision);
    };
    if known.node.as_ref() != node {
        return match node {
            Some(node) => Err(Refusal::NotYours { node: node.clone(), what: attempt.to_string() }),
            None => Ok(decision),
        };
    }
    let node_role = find(world, &known.node_role)?;
    if node_role.status.state.attempt() != Some(attempt) {
        release(node, attempt, &mut decision);
        return Ok(decision);
    }
    release(node, attempt, &mut decision);
    close(world, node_role, known, report, phase, now, &mut decision)?;
    free(world, node_role, &mut decision);
    Ok(decision)
}

fn release(node: Option<&NodeName>, attempt: AttemptId, decision: &mut Decision) {
    if let Some(node) = node {
        decision.effects.push(Effect::Release { node: node.clone(), attempt });
    }
}

/// Ends an attempt that is under way.
pub(super) fn close(
    world: &World,
    node_role: &NodeRole,
    attempt: &Attempt,
    report: Report,
    phase: Option<Phase>,
    now: Timestamp,
    decision: &mut Decision,
) -> Result<(), Refusal> {
    let mut record = attempt.clone();
    record.ended_at = Some(now);
    record.outcome = Some(match &report {
        Report::Succeeded { outputs, converged, note } => {
            Outcome::Succeeded { outputs: outputs.clone(), converged: *converged, note: note.clone() }
        }
        Report::Failed(failure) => Outcome::Failed(failure.clone()),
        Report::Cancelled => Outcome::Cancelled,
    });
    decision.change(Change::AttemptPut { attempt: Box::new(record) });
    match report {
        Report::Succeeded { .. } if attempt.kind == AttemptKind::Undo => gone(world, node_role, decision),
        Report::Succeeded { outputs, .. } => succeeded(world, node_role, attempt, outputs, now, decision),
        Report::Failed(failure) => failed(world, node_role, attempt, failure, phase, now, decision),
        Report::Cancelled => cancelled(world, node_role, attempt, now, decision),
    }
}

fn succeeded(
    world: &World,
    node_role: &NodeRole,
    attempt: &Attempt,
    outputs: BTreeMap<Ident, Value>,
    now: Timestamp,
    decision: &mut Decision,
) -> Result<(), Refusal> {
    let id = &node_role.spec.id;
    let mut status = moved(&node_role.status, [Trigger::Succeeded])?;
    let resolved = resolve(world, &node_role.spec).ok();
    // While it ran, something upstream may have moved on: then its success is one of yesterday.
    if unmet(world, node_role).is_some() {
        status.state = status.state.next(Trigger::Suspected)?;
    } else if resolved.as_ref().is_none_or(|it| it.key != attempt.key) {
        status.state = status.state.next(Trigger::Staled)?;
    }
    if let Some(resource) = world.resources().get(&rebar_model::ResourceId(id.clone())) {
        let resource = Resource { observed: outputs.clone(), ..resource.clone() };
        decision.change(Change::ResourcePut { resource: Box::new(resource) });
    }
    status.last = Some(Success {
        attempt: attempt.id,
        at: now,
        key: attempt.key,
        replace_key: attempt.replace_key,
        content: attempt.content,
        outputs,
    });
    status.tries = 0;
    decision.change(move_to(id, status));
    breaker::succeeded(world, node_role, decision);
    decision.look(id);
    look_downstream(world, id, decision);
    Ok(())
}

fn failed(
    world: &World,
    node_role: &NodeRole,
    attempt: &Attempt,
    mut failure: Failure,
    phase: Option<Phase>,
    now: Timestamp,
    decision: &mut Decision,
) -> Result<(), Refusal> {
    let (id, kind) = (&node_role.spec.id, failure.kind);
    failure.phase = failure.phase.or(phase).or((attempt.kind == AttemptKind::Undo).then_some(Phase::Undo));
    let role = world.role_carried_out(attempt);
    let pause = role.and_then(|it| back_off(&it.manifest.spec, attempt.kind, &failure, node_role.status.tries));
    let status = match pause {
        Some(pause) => {
            let mut status = moved(&node_role.status, [Trigger::FailedForNow])?;
            status.tries += 1;
            if status.intent == Intent::Present && unmet(world, node_role).is_none() {
                status.state = status.state.next(Trigger::RequirementsMet { at: now })?;
            }
            status.not_before = Some(pause.after(now));
            status
        }
        None => moved(
            &node_role.status,
            [Trigger::FailedForGood { attempt: attempt.id, at: now, failure, key: attempt.key }],
        )?,
    };
    let for_good = matches!(status.state, State::Failed { .. });
    breaker::failed(world, node_role, (attempt.id, kind, for_good), now, decision);
    decision.change(move_to(id, status));
    if for_good {
        // A failed member does not hold up for ever what waits to leave after it; its new inputs may let it try again.
        look_leaving(world, id, decision);
        decision.look(id);
    }
    Ok(())
}

fn cancelled(
    world: &World,
    node_role: &NodeRole,
    attempt: &Attempt,
    now: Timestamp,
    decision: &mut Decision,
) -> Result<(), Refusal> {
    let id = &node_role.spec.id;
    if node_role.status.intent == Intent::Present && attempt.kind != AttemptKind::Undo {
        let paused = world.deployments().get(&id.deployment).is_some_and(|it| it.paused.is_some());
        if !paused {
            // Nobody asked Rebar for it: a person, or the machine, ended it.
            let failure = Failure {
                kind: FailureKind::Error,
                phase: None,
                exit_code: None,
                message: "the attempt was cancelled".to_owned(),
                retry_after: None,
            };
            return failed(world, node_role, attempt, failure, None, now, decision);
        }
    }
    decision.change(move_to(id, moved(&node_role.status, [Trigger::Cancelled])?));
    decision.look(id);
    Ok(())
}

/// Looks at those that may have waited for the lock or the slot that an attempt held.
pub(super) fn free(world: &World, node_role: &NodeRole, decision: &mut Decision) {
    let spec = &node_role.spec;
    if let Some(lock) = &spec.lock {
        let wants = |it: &NodeRole| it.spec.lock.as_ref() == Some(lock) && it.spec.agent == spec.agent;
        for id in world.queued_on(spec.agent.as_ref()) {
            if world.node_role(id).is_some_and(wants) {
                decision.look(id);
            }
        }
        for id in world.carried_out_by(spec.agent.as_ref()) {
            let leaves = |it: &NodeRole| it.status.intent == Intent::Absent && it.status.state.attempt().is_none();
            if world.node_role(id).is_some_and(|it| leaves(it) && wants(it)) {
                decision.look(id);
            }
        }
    }
    let limited = world
        .role_of(spec)
        .and_then(|it| it.manifest.spec.concurrency.as_ref())
        .is_some_and(|it| it.per_deployment.is_some());
    if limited {
        for (id, it) in world.node_roles_of(&spec.id.deployment) {
            if id.role == spec.id.role && it.status.state.attempt().is_none() {
                decision.look(id);
            }
        }
    }
}

/// Whether an attempt is carried out by an agent.
pub(super) fn is_remote(world: &World, node_role: &NodeRole) -> bool {
    world.role_of(&node_role.spec).is_some_and(|it| it.manifest.spec.runner.on_agent())
}

/// Has an attempt that is under way ended, wherever it runs. Engine-run ones end at once.
pub(super) fn cancel(world: &World, node_role: &NodeRole, decision: &mut Decision) {
    let Some(attempt) = node_role.status.state.attempt() else { return };
    match &node_role.spec.agent {
        Some(node) if is_remote(world, node_role) => {
            decision.effects.push(Effect::Cancel { node: node.clone(), attempt });
        }
        _ => decision.next.push(Input::AttemptEnded { node: None, attempt, report: Report::Cancelled, phase: None }),
    }
}
