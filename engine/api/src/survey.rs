//! Looks over all node-roles of a deployment: how many stand where, whether anything moves, whether a person has to act. Waiting,
//! status and lists all go by this one look.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rebar_model::{
    Connection, Deployment, Mode, NodeName, NodeRole, Reason, RevisionNo, Standing, State, Verdict, WhoActs, World,
};
use rebar_scheduler::verdict;

use crate::limits::{ARRIVAL_GRACE, AWAY_GRACE};

/// What a look over a deployment found.
pub(crate) struct Survey<'a> {
    /// Every node-role with why it stands where it stands.
    pub stands: Vec<(&'a NodeRole, Verdict)>,
    /// How many stand where.
    pub counts: BTreeMap<Standing, usize>,
    /// Everything is active and up to date.
    pub active: bool,
    /// Something runs, or will by itself.
    pub moving: bool,
    /// A person has to act.
    pub needs_person: bool,
    /// When to look again although nothing happened: a node's time to come back ends then.
    pub look_again: Option<Timestamp>,
}

/// Looks over a deployment.
pub(crate) fn survey<'a>(world: &'a World, deployment: &Deployment, now: Timestamp) -> Survey<'a> {
    let stands: Vec<_> = world
        .node_roles_of(&deployment.name)
        .filter_map(|(id, node_role)| verdict(world, id, now).map(|it| (node_role, it)))
        .collect();
    let mut counts = BTreeMap::new();
    for (_, verdict) in &stands {
        *counts.entry(verdict.standing).or_default() += 1;
    }
    let applied = deployment.mode == Mode::Converging && deployment.revision > RevisionNo(0);
    let active = applied && stands.iter().all(|(node_role, _)| is_done(node_role));
    let returns: Vec<_> = stands.iter().filter_map(|(_, it)| returns(world, it, now)).collect();
    Survey {
        active,
        moving: !returns.is_empty() || stands.iter().any(|(_, it)| is_moving(it)),
        needs_person: stands.iter().any(|(_, it)| it.who == WhoActs::You),
        look_again: returns.into_iter().min(),
        counts,
        stands,
    }
}

fn is_done(node_role: &NodeRole) -> bool {
    let wanted = node_role.status.intent == rebar_model::Intent::Present;
    if wanted { node_role.status.state.is_fresh() } else { node_role.status.state == State::Removed }
}

/// Whether a node-role runs, or waits for nothing but time or others that run. One that waits for others is no sign of life
/// itself: those others are.
fn is_moving(verdict: &Verdict) -> bool {
    match verdict.standing {
        Standing::Running | Standing::Undoing | Standing::Queued => true,
        Standing::Waiting | Standing::Stale => verdict.reasons.iter().all(|it| {
            !matches!(
                it,
                Reason::UpstreamWaiting { .. }
                    | Reason::BreakerTries { .. }
                    | Reason::UpstreamFailed { .. }
                    | Reason::DependantsFirst { .. }
                    | Reason::UpstreamChanging { .. }
                    | Reason::InputsChanged
            )
        }),
        _ => false,
    }
}

/// When the time ends in which an absent node may come by itself; none if nothing else than the node is waited for, or it ended.
fn returns(world: &World, verdict: &Verdict, now: Timestamp) -> Option<Timestamp> {
    let only_away = verdict.reasons.iter().all(|it| {
        !matches!(
            it,
            Reason::Paused { .. }
                | Reason::BreakerOpen { .. }
                | Reason::NodeMaintenance { .. }
                | Reason::UpstreamFailed { .. }
        )
    });
    let node = verdict.reasons.iter().find_map(|it| match it {
        Reason::NodeAway { node, .. } => Some(node),
        _ => None,
    })?;
    grace(world, node).filter(|it| only_away && *it > now)
}

/// Until when a node is expected to come by itself.
fn grace(world: &World, node: &NodeName) -> Option<Timestamp> {
    let node = world.nodes().get(node)?;
    match node.connection {
        Connection::Here { .. } => None,
        Connection::Never => Some(ARRIVAL_GRACE.after(node.added_at)),
        Connection::Away { since } => Some(AWAY_GRACE.after(since)),
    }
}
