//! Decides what follows from an input: a pure function of World, input and time. One file a family of inputs; the judgement about
//! a single node-role is `judge.rs`.

mod accept;
mod agent;
pub(crate) mod breaker;
mod command;
mod lifecycle;
mod look;
mod report;
mod tick;
mod upgrade;

use jiff::Timestamp;
use rebar_model::{Change, NodeRole, NodeRoleId, NodeRoleStatus, Trigger, World};

use crate::{Decision, Input, Refusal};

/// Decides what follows from an input. Nothing is changed: the caller applies and commits the changes, and only then lets the
/// effects out.
pub fn decide(world: &World, input: Input, now: Timestamp) -> Result<Decision, Refusal> {
    match input {
        Input::Command { by, command } => command::decide(world, command, &by, now),
        Input::AgentConnected { node, held } => agent::connected(world, &node, &held, now),
        Input::AgentLost { node } => agent::lost(world, &node, now),
        Input::AgentSaid { node, version, report } => upgrade::said_hello(world, &node, version, report, now),
        Input::UpgradeFailed { node, report } => upgrade::failed(world, &node, report, now),
        Input::FactsReported { node, facts } => agent::facts(world, &node, *facts),
        Input::AttemptAccepted { node, attempt } => Ok(agent::accepted(world, &node, attempt, now)),
        Input::AttemptEnded { node, attempt, report, phase } => {
            report::ended(world, node.as_ref(), attempt, report, phase, now)
        }
        Input::Tick => tick::due(world, now),
        Input::TookOver => Ok(tick::took_over(world, now)),
        Input::Look { id } => look::look(world, &id, now),
        Input::Suspect { roots } => look::suspect(world, &roots),
        Input::Upgrade => Ok(upgrade::advance(world, now)),
        Input::Settle { deployment } => lifecycle::settle(world, &deployment),
    }
}

/// A node-role that has to be there.
fn find<'a>(world: &'a World, id: &NodeRoleId) -> Result<&'a NodeRole, Refusal> {
    world.node_role(id).ok_or_else(|| Refusal::NotFound { kind: "node-role", name: id.to_string() })
}

/// The status after some triggers, everything else as it was.
fn moved(status: &NodeRoleStatus, triggers: impl IntoIterator<Item = Trigger>) -> Result<NodeRoleStatus, Refusal> {
    let mut status = status.clone();
    for trigger in triggers {
        status.state = status.state.next(trigger)?;
    }
    Ok(status)
}

/// The change that moves a node-role.
fn move_to(id: &NodeRoleId, status: NodeRoleStatus) -> Change {
    Change::NodeRoleMoved { id: id.clone(), status: Box::new(status) }
}
