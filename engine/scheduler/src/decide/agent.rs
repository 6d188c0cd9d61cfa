//! What agents say about themselves: here, gone, facts, and that an attempt is in their journal.

use jiff::Timestamp;
use rebar_model::{AttemptId, Change, Connection, Facts, Intent, Node, NodeName, NodeRole, World};

use super::{report::is_remote, upgrade};
use crate::{Decision, Effect, Refusal};

pub(super) fn find<'a>(world: &'a World, name: &NodeName) -> Result<&'a Node, Refusal> {
    world.nodes().get(name).ok_or_else(|| Refusal::NotFound { kind: "node", name: name.to_string() })
}

/// An agent is here. What it holds and nobody wants any more is ended; what it should run and does not hold is handed out.
pub(super) fn connected(
    world: &World,
    name: &NodeName,
    held: &[AttemptId],
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let node = find(world, name)?;
    let mut decision = Decision::default();
    let node = Node { connection: Connection::Here { since: now }, ..node.clone() };
    decision.change(Change::NodePut { node: Box::new(node) });
    for attempt in held {
        if world.attempts().get(attempt).is_none_or(|it| it.node.as_ref() != Some(name)) {
            decision.effects.push(Effect::Cancel { node: name.clone(), attempt: *attempt });
        }
    }
    for id in world.running_on(Some(name)) {
        let Some(node_role) = world.node_role(id) else { continue };
        let Some(attempt) = node_role.status.state.attempt() else { continue };
        let remote = is_remote(world, node_role);
        let wanted = node_role.status.intent == Intent::Present
            || matches!(node_role.status.state, rebar_model::State::Undoing { .. });
        if !wanted {
            decision.effects.push(Effect::Cancel { node: name.clone(), attempt });
        } else if remote && !held.contains(&attempt) {
            decision.effects.push(Effect::Dispatch { node: name.clone(), attempt });
        }
    }
    for id in world.carried_out_by(Some(name)) {
        let Some(NodeRole { status, .. }) = world.node_role(id) else { continue };
        let moves = status.state.attempt().is_none() && !status.state.is_fresh();
        if moves || status.intent != Intent::Present {
            decision.look(id);
        }
    }
    Ok(decision)
}

/// An agent is not here any more. What it runs goes on there; only the deadline ends it.
pub(super) fn lost(world: &World, name: &NodeName, now: Timestamp) -> Result<Decision, Refusal> {
    let node = find(world, name)?;
    let mut decision = Decision::default();
    if node.is_here() {
        let node = Node { connection: Connection::Away { since: now }, ..node.clone() };
        decision.change(Change::NodePut { node: Box::new(node) });
    }
    upgrade::lost(world, name, &mut decision);
    Ok(decision)
}

/// An agent reported about its machine.
pub(super) fn facts(world: &World, name: &NodeName, facts: Facts) -> Result<Decision, Refusal> {
    let node = find(world, name)?;
    let mut decision = Decision::default();
    if node.facts.as_ref() != Some(&facts) {
        let node = Node { facts: Some(facts), ..node.clone() };
        decision.change(Change::NodePut { node: Box::new(node) });
        upgrade::go_on(world, &mut decision);
    }
    Ok(decision)
}

/// An attempt is in the journal of its agent.
pub(super) fn accepted(world: &World, name: &NodeName, attempt: AttemptId, now: Timestamp) -> Decision {
    let mut decision = Decision::default();
    if let Some(known) = world.attempts().get(&attempt)
        && known.node.as_ref() == Some(name)
        && known.accepted_at.is_none()
    {
        let attempt = rebar_model::Attempt { accepted_at: Some(now), ..known.clone() };
        decision.change(Change::AttemptPut { attempt: Box::new(attempt) });
    }
    decision
}
