//! The life of a deployment: rebuild and destroy, and what follows when everything of it is gone.

use rebar_model::{
    Breaker, Change, Deployment, DeploymentName, Intent, Mode, NodeRole, NodeRoleId, NodeRoleStatus, RoleName, State,
    Trigger, World,
};

use super::{move_to, moved, report::cancel};
use crate::{Decision, Input, Refusal, protect};

/// A deployment that has to be there.
pub(super) fn find<'a>(world: &'a World, name: &DeploymentName) -> Result<&'a Deployment, Refusal> {
    world.deployments().get(name).ok_or_else(|| Refusal::NotFound { kind: "deployment", name: name.to_string() })
}

/// The word for what keeps a deployment busy.
pub(super) fn busy(deployment: &Deployment) -> Result<(), Refusal> {
    let doing = match deployment.mode {
        Mode::Converging => return Ok(()),
        Mode::Rebuilding => "rebuilt",
        Mode::Destroying => "destroyed",
    };
    Err(Refusal::Busy { deployment: deployment.name.clone(), doing })
}

/// Undoes everything, to build it again or to forget it, if everything protected in it is named.
pub(super) fn wipe(
    world: &World,
    name: &DeploymentName,
    mode: Mode,
    allowed: &[RoleName],
) -> Result<Decision, Refusal> {
    let deployment = find(world, name)?;
    if mode == Mode::Rebuilding {
        busy(deployment)?;
    }
    protect::refuse(protect::protected(world, name), allowed)?;
    let mut decision = Decision::default();
    let deployment = Deployment { mode, paused: None, breaker: Breaker::default(), ..deployment.clone() };
    decision.change(Change::DeploymentPut { deployment: Box::new(deployment) });
    for (_, node_role) in world.node_roles_of(name) {
        leave(world, node_role, Intent::Absent, &mut decision)?;
    }
    for (id, _) in world.node_roles_of(name) {
        decision.look(id);
    }
    decision.next.push(Input::Settle { deployment: name.clone() });
    Ok(decision)
}

/// Wants a node-role away: what runs for its presence is cancelled, an undo under way goes on, one that failed is tried again.
pub(super) fn leave(
    world: &World,
    node_role: &NodeRole,
    intent: Intent,
    decision: &mut Decision,
) -> Result<(), Refusal> {
    let status = &node_role.status;
    let mut changed = match status.state {
        State::Failed { .. } => moved(status, [Trigger::Retried])?,
        _ => status.clone(),
    };
    (changed.intent, changed.tries, changed.not_before) = (intent, 0, None);
    if matches!(status.state, State::Running { .. }) {
        cancel(world, node_role, decision);
    }
    if changed != *status {
        decision.change(move_to(&node_role.spec.id, changed));
    }
    Ok(())
}

/// When everything of a deployment that is being wiped is gone: builds it again, or forgets it.
pub(super) fn settle(world: &World, name: &DeploymentName) -> Result<Decision, Refusal> {
    let deployment = find(world, name)?;
    let mut decision = Decision::default();
    let counts = world.counts(name);
    let all_gone = counts.keys().all(|word| *word == State::Removed.word());
    if !all_gone {
        return Ok(decision);
    }
    match deployment.mode {
        Mode::Converging => {}
        Mode::Rebuilding => {
            let rebuilt =
                Deployment { mode: Mode::Converging, rebuilds: deployment.rebuilds + 1, ..deployment.clone() };
            decision.change(Change::DeploymentPut { deployment: Box::new(rebuilt) });
            // What was on a node that is gone meanwhile is built by nobody; the next plan forgets it.
            let there = |id: &NodeRoleId| id.node().is_none_or(|node| world.nodes().contains_key(node));
            for (id, node_role) in world.node_roles_of(name).filter(|(id, _)| there(id)) {
                let revived = moved(&node_role.status, [Trigger::Revived])?;
                let status =
                    NodeRoleStatus { state: revived.state, attempts: revived.attempts, ..NodeRoleStatus::new() };
                decision.change(move_to(id, status));
                decision.look(id);
            }
        }
        Mode::Destroying => {
            for (id, _) in world.node_roles_of(name) {
                decision.change(Change::NodeRoleRemoved { id: id.clone() });
            }
            decision.change(Change::DeploymentRemoved { name: name.clone() });
        }
    }
    Ok(decision)
}
