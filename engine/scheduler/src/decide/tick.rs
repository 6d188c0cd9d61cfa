//! What is due when time passed, and what a new engine looks at first.

use jiff::Timestamp;
use rebar_model::{Change, Connection, Failure, FailureKind, Node, Report, State, World};

use super::{
    move_to,
    report::{close, free, is_remote},
    upgrade,
};
use crate::{Decision, Effect, Input, Refusal};

/// Ends attempts whose deadline passed, lets back-offs end, and looks at the agents whose upgrade is due.
pub(super) fn due(world: &World, now: Timestamp) -> Result<Decision, Refusal> {
    let mut decision = Decision::default();
    for id in world.due(now) {
        let Some(node_role) = world.node_role(id) else { continue };
        match node_role.status.state {
            State::Running { attempt, .. } | State::Undoing { attempt, .. } => {
                let Some(known) = world.attempts().get(&attempt) else { continue };
                let failure = overdue(world, node_role);
                if let (Some(node), true) = (&known.node, is_remote(world, node_role)) {
                    decision.effects.push(Effect::Cancel { node: node.clone(), attempt });
                }
                close(world, node_role, known, Report::Failed(failure), None, now, &mut decision)?;
                free(world, node_role, &mut decision);
            }
            _ => {
                let mut status = node_role.status.clone();
                status.not_before = None;
                decision.change(move_to(id, status));
                decision.look(id);
            }
        }
    }
    let mut agents = Decision::default();
    upgrade::due(world, now, &mut agents);
    decision.join(agents);
    Ok(decision)
}

fn overdue(world: &World, node_role: &rebar_model::NodeRole) -> Failure {
    let away = node_role.spec.agent.as_ref().is_some_and(|it| !world.nodes().get(it).is_some_and(Node::is_here));
    let (kind, message) = if away {
        (FailureKind::AgentLost, "the node went away and did not come back before the deadline")
    } else if is_remote(world, node_role) {
        (FailureKind::Timeout, "the agent did not report an end before the deadline")
    } else {
        (FailureKind::Timeout, "the service did not get there before the deadline")
    };
    Failure { kind, phase: None, exit_code: None, message: message.to_owned(), retry_after: None }
}

/// A new engine looks at everything that could move, and has the services look at what is desired. No agent is here yet, whatever
/// the engine before it thought.
pub(super) fn took_over(world: &World, now: Timestamp) -> Decision {
    let mut decision = Decision::default();
    for node in world.nodes().values().filter(|it| it.is_here()) {
        let node = Node { connection: Connection::Away { since: now }, ..node.clone() };
        decision.change(Change::NodePut { node: Box::new(node) });
    }
    for (id, node_role) in world.node_roles() {
        if node_role.status.state.attempt().is_none() && !node_role.status.state.is_fresh() {
            decision.look(id);
        }
    }
    for name in world.deployments().keys() {
        decision.next.push(Input::Settle { deployment: name.clone() });
    }
    upgrade::took_over(world, now, &mut decision);
    decision.effects.push(Effect::Reconcile);
    decision
}
