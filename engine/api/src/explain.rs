//! Why something is not done: follows verdicts up to their roots, puts those with one cause together, and says what they hold
//! back and what a person could try. The verdicts themselves are the scheduler's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use rebar_model::{AttemptId, Deployment, NodeRole, NodeRoleId, Reason, Standing, State, Verdict, WhoActs, World};
use rebar_scheduler::verdict;

use crate::{
    limits::{MAX_DEPTH, NAMED},
    survey::survey,
    types::{Cause, ExplainView},
    words,
};

/// Why a deployment is not done: its causes, the weightiest first.
pub(crate) fn deployment(world: &World, deployment: &Deployment, now: Timestamp) -> ExplainView {
    let survey = survey(world, deployment, now);
    let mut roots: BTreeMap<(u8, String), Vec<Verdict>> = BTreeMap::new();
    for (_, verdict) in survey.stands.iter().filter(|(_, it)| it.who != WhoActs::Nobody) {
        let Some(reason) = verdict.reasons.first().filter(|it| !is_consequence(it)) else { continue };
        let key = (weight(reason), alike(world, verdict, reason));
        roots.entry(key).or_default().push(verdict.clone());
    }
    let mut causes: Vec<_> = roots.into_values().map(|alike| cause(world, alike)).collect();
    // Equal weights: who holds back most comes first. The sort is stable, so equal causes keep their order.
    causes.sort_by_key(|it| (it.0, std::cmp::Reverse(it.1.count + it.1.holds_back_count)));
    let more = causes.len().saturating_sub(NAMED);
    let done = survey.counts.get(&Standing::Active).copied().unwrap_or_default();
    let counts: Vec<_> = survey
        .counts
        .iter()
        .filter(|(standing, _)| **standing != Standing::Active)
        .map(|(standing, count)| format!("{count} {}", standing.word()))
        .collect();
    let rest = if counts.is_empty() { String::new() } else { format!(", {}", counts.join(", ")) };
    let who = match (survey.needs_person, survey.moving) {
        (true, _) => WhoActs::You,
        (false, true) => WhoActs::Rebar,
        (false, false) => WhoActs::Nobody,
    };
    ExplainView {
        subject: deployment.name.to_string(),
        headline: format!("{}: {done} of {} active{rest}", deployment.name, survey.stands.len()),
        standing: None,
        who,
        causes: causes.into_iter().take(NAMED).map(|(_, it)| it).collect(),
        more,
    }
}

/// Why a node-role is not done: the roots of it.
pub(crate) fn node_role(world: &World, node_role: &NodeRole, now: Timestamp) -> Option<ExplainView> {
    let id = &node_role.spec.id;
    let own = verdict(world, id, now)?;
    let roots = roots(world, &own, now);
    let mut causes: Vec<_> = roots.into_iter().map(|it| cause(world, vec![it]).1).collect();
    let more = causes.len().saturating_sub(NAMED);
    causes.truncate(NAMED);
    let why = causes.first().map(|it| it.text.clone()).or_else(|| own.reasons.first().map(words::reason));
    let standing = own.standing.word();
    let headline = match why {
        Some(why) => format!("{} is {standing}: {why}", id.local()),
        None => format!("{} is {standing}", id.local()),
    };
    Some(ExplainView { subject: id.to_string(), headline, standing: Some(own.standing), who: own.who, causes, more })
}

/// The verdicts at the roots of a verdict: those that wait for no other node-role.
fn roots(world: &World, own: &Verdict, now: Timestamp) -> Vec<Verdict> {
    let mut seen = BTreeSet::from([own.id.clone()]);
    let mut queue = VecDeque::from([(own.clone(), 0)]);
    let mut roots = Vec::new();
    while let Some((verdict, depth)) = queue.pop_front() {
        let Some(reason) = verdict.reasons.first() else { continue };
        let further = if depth < MAX_DEPTH { behind(reason) } else { Vec::new() };
        if further.is_empty() {
            roots.push(verdict.clone());
        }
        for id in further {
            if seen.insert(id.clone())
                && let Some(it) = rebar_scheduler::verdict(world, &id, now)
            {
                queue.push_back((it, depth + 1));
            }
        }
    }
    roots.sort_by_key(|it| it.reasons.first().map_or(u8::MAX, weight));
    roots
}

/// The node-roles that a reason points at.
fn behind(reason: &Reason) -> Vec<NodeRoleId> {
    match reason {
        Reason::UpstreamFailed { root } => vec![root.clone()],
        Reason::UpstreamWaiting { unmet, .. } => unmet.clone(),
        Reason::DependantsFirst { dependants } => dependants.clone(),
        Reason::UpstreamChanging { id } => vec![id.clone()],
        Reason::LockHeld { holder, .. } => vec![holder.clone()],
        Reason::BreakerTries { probe } => vec![probe.clone()],
        _ => Vec::new(),
    }
}

/// Whether a reason only says that another node-role has one.
fn is_consequence(reason: &Reason) -> bool {
    !matches!(reason, Reason::LockHeld { .. }) && !behind(reason).is_empty()
}

/// How much a reason weighs: the less, the more it wants a person.
fn weight(reason: &Reason) -> u8 {
    match reason {
        Reason::Failed { .. } => 0,
        Reason::InputMissing { .. } => 1,
        Reason::NodeAway { .. } => 2,
        Reason::NodeMaintenance { .. } => 3,
        Reason::BreakerOpen { .. } => 3,
        Reason::Paused { .. } => 4,
        Reason::UpstreamFailed { .. } => 5,
        Reason::BackOff { .. } => 6,
        Reason::Running { .. } => 7,
        Reason::LockHeld { .. } | Reason::ConcurrencyLimit { .. } => 8,
        _ => 9,
    }
}

/// What verdicts with one cause have in common.
fn alike(world: &World, verdict: &Verdict, reason: &Reason) -> String {
    let role = &verdict.id.role;
    match reason {
        // The same role with the same message: the names of nodes and numbers are what differs between machines.
        Reason::Failed { failure, .. } => {
            let mut message = failure.message.clone();
            if let Some(node) = verdict.id.node() {
                message = message.replace(node.as_str(), "NODE");
            }
            message.retain(|it| !it.is_ascii_digit());
            format!("{role} {:?} {:?} {message}", failure.kind, failure.phase)
        }
        Reason::NodeAway { node, .. } | Reason::NodeMaintenance { node, .. } => node.to_string(),
        Reason::Paused { reason } => reason.clone(),
        Reason::BreakerOpen { .. } => String::new(),
        Reason::LockHeld { holder, .. } => holder.to_string(),
        Reason::Running { .. } => {
            let content = world.node_role(&verdict.id).map(|it| it.spec.content.short());
            format!("{role} {}", content.unwrap_or_default())
        }
        other => format!("{role} {}", words::reason_kind(other)),
    }
}

/// The cause that some verdicts share, with its weight.
fn cause(world: &World, alike: Vec<Verdict>) -> (u8, Cause) {
    let ids: Vec<_> = alike.iter().map(|it| it.id.clone()).collect();
    let held = held_back(world, &ids);
    let first = alike.into_iter().next();
    let reason = first.as_ref().and_then(|it| it.reasons.first());
    let mut cause = Cause {
        kind: reason.map_or("unknown", words::reason_kind).to_owned(),
        text: String::new(),
        standing: first.as_ref().map_or(Standing::Waiting, |it| it.standing),
        who: first.as_ref().map_or(WhoActs::Rebar, |it| it.who),
        count: ids.len(),
        node_roles: ids.iter().take(NAMED).cloned().collect(),
        holds_back_count: held.len(),
        holds_back: held.into_iter().take(NAMED).collect(),
        since: ids.first().and_then(|it| since(world, it)),
        attempt: reason.and_then(attempt),
        log: Vec::new(),
        next: Vec::new(),
    };
    if let (Some(reason), Some(id)) = (reason, ids.first()) {
        let more = if ids.len() > 1 { format!(" and {} more", ids.len() - 1) } else { String::new() };
        cause.text = format!("{}{more}: {}", id.local(), words::reason(reason));
        cause.next = next(reason, id);
    }
    (reason.map_or(u8::MAX, weight), cause)
}

/// Everything that waits for these, near or far.
fn held_back(world: &World, ids: &[NodeRoleId]) -> BTreeSet<NodeRoleId> {
    let mut held = BTreeSet::new();
    let mut queue: VecDeque<_> = ids.iter().collect();
    while let Some(id) = queue.pop_front() {
        for dependant in world.dependants(id) {
            let open = world.node_role(dependant).is_some_and(|it| !it.status.state.is_fresh());
            if open && !ids.contains(dependant) && held.insert(dependant.clone()) {
                queue.push_back(dependant);
            }
        }
    }
    held
}

fn since(world: &World, id: &NodeRoleId) -> Option<Timestamp> {
    match &world.node_role(id)?.status.state {
        State::Failed { at, .. } => Some(*at),
        State::Queued { since } | State::Running { since, .. } | State::Undoing { since, .. } => Some(*since),
        _ => None,
    }
}

fn attempt(reason: &Reason) -> Option<AttemptId> {
    match reason {
        Reason::Failed { attempt, .. } | Reason::Running { attempt, .. } => Some(*attempt),
        _ => None,
    }
}

/// Commands that a person could try.
fn next(reason: &Reason, id: &NodeRoleId) -> Vec<String> {
    let deployment = &id.deployment;
    match reason {
        Reason::Failed { .. } => vec![format!("rebar logs {id}"), format!("rebar retry {id}")],
        Reason::InputMissing { input, .. } => vec![format!("rebar attr why {id} {input}")],
        Reason::NodeAway { node, .. } => {
            vec![format!("rebar node show {node}"), format!("rebar node rm {node} --gone")]
        }
        Reason::NodeMaintenance { node, .. } => vec![format!("rebar node show {node}")],
        Reason::Paused { .. } => vec![format!("rebar deployment resume {deployment}")],
        Reason::BreakerOpen { .. } => {
            vec![format!("rebar breaker show {deployment}"), format!("rebar breaker reset {deployment} --probe")]
        }
        Reason::Running { .. } => vec![format!("rebar logs {id} -f")],
        _ => vec![format!("rebar wait {deployment}")],
    }
}
