//! Makes the views of deployments and node-roles out of a World. What is shown is decided by the scheduler's verdicts; here it
//! only gets its shape.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use rebar_model::{Deployment, DeploymentName, Digest, NodeRole, NodeRoleId, ResourceId, State, Verdict, World};
use rebar_orchestrator::Handle;
use rebar_scheduler::protected;

use crate::{
    address,
    error::ApiError,
    routes::breakers,
    survey::{Survey, survey},
    types::{DeploymentStatus, DeploymentSummary, NodeRoleView, ProgressView, WorkloadRef},
    words,
};

/// A workload version by both its names.
pub(crate) fn workload_ref(world: &World, digest: Digest) -> WorkloadRef {
    let reference = world.workloads().get(&digest).map_or_else(|| digest.to_string(), |it| it.reference());
    WorkloadRef { reference, digest }
}

/// A deployment in short.
pub(crate) fn summary(world: &World, deployment: &Deployment, now: Timestamp) -> DeploymentSummary {
    let survey = survey(world, deployment, now);
    DeploymentSummary {
        name: deployment.name.clone(),
        workload: workload_ref(world, deployment.spec.workload),
        revision: deployment.revision,
        mode: deployment.mode,
        paused: deployment.paused.clone(),
        counts: survey.counts,
        active: survey.active,
        settled: !survey.moving,
        needs_person: survey.needs_person,
        rebuilds: deployment.rebuilds,
        created_at: deployment.created_at,
    }
}

/// How a deployment stands.
pub(crate) fn status(handle: &Handle, name: &DeploymentName) -> Result<DeploymentStatus, ApiError> {
    let now = handle.now();
    let mut status = handle.read(|world| {
        let deployment = address::deployment(world, name)?;
        Ok::<_, ApiError>(status_of(world, deployment, survey(world, deployment, now), now))
    })?;
    add_progress(handle, &mut status.node_roles);
    Ok(status)
}

/// How a deployment stands, without the progress of its attempts.
pub(crate) fn status_of(
    world: &World,
    deployment: &Deployment,
    survey: Survey<'_>,
    now: Timestamp,
) -> DeploymentStatus {
    let depths = depths(world, &deployment.name);
    let mut node_roles: Vec<_> = survey
        .stands
        .into_iter()
        .map(|(node_role, verdict)| {
            let depth = depths.get(&node_role.spec.id).copied().unwrap_or_default();
            node_role_view(world, node_role, verdict, depth)
        })
        .collect();
    node_roles.sort_by(|a, b| (a.depth, &a.role, a.ordinal, &a.id).cmp(&(b.depth, &b.role, b.ordinal, &b.id)));
    DeploymentStatus {
        name: deployment.name.clone(),
        workload: workload_ref(world, deployment.spec.workload),
        revision: deployment.revision,
        mode: deployment.mode,
        paused: deployment.paused.clone(),
        breaker: breakers::view(world, deployment),
        rebuilds: deployment.rebuilds,
        counts: survey.counts,
        active: survey.active,
        settled: !survey.moving,
        needs_person: survey.needs_person,
        protected: protected(world, &deployment.name),
        node_roles,
        seq: world.applied(),
        at: now,
    }
}

fn node_role_view(world: &World, node_role: &NodeRole, verdict: Verdict, depth: u32) -> NodeRoleView {
    let (spec, status) = (&node_role.spec, &node_role.status);
    let last = status.last.as_ref();
    let role = world.role_of(spec).map(|it| &it.manifest);
    let (since, attempt) = match &status.state {
        State::Waiting => (None, last.map(|it| it.attempt)),
        State::Queued { since } => (Some(*since), last.map(|it| it.attempt)),
        State::Running { since, attempt, .. } | State::Undoing { since, attempt, .. } => (Some(*since), Some(*attempt)),
        State::Failed { at, attempt, .. } => (Some(*at), Some(*attempt)),
        State::Active { .. } | State::Removed => (last.map(|it| it.at), last.map(|it| it.attempt)),
    };
    NodeRoleView {
        id: spec.id.clone(),
        address: spec.id.local(),
        role: spec.id.role.clone(),
        node: spec.id.node().cloned(),
        group: spec.group.clone(),
        ordinal: spec.ordinal,
        depth,
        milestone: role.is_some_and(|it| it.spec.milestone),
        importance: role.map(|it| it.metadata.importance).unwrap_or_default(),
        standing: verdict.standing,
        who: verdict.who,
        why: verdict.reasons.first().map(words::reason),
        reasons: verdict.reasons,
        since,
        attempts: status.attempts,
        attempt,
        deadline: status.state.deadline(),
        progress: None,
    }
}

/// Adds how far attempts are. Not done while looking at the World: its lock is held by nobody who takes another.
pub(crate) fn add_progress(handle: &Handle, node_roles: &mut [NodeRoleView]) {
    for view in node_roles.iter_mut().filter(|it| it.deadline.is_some()) {
        let progress = view.attempt.and_then(|it| handle.progress(it));
        let progress = progress.map(|it| ProgressView { phase: it.phase, percent: it.percent, text: it.text });
        let pending = || handle.pending(&ResourceId(view.id.clone()));
        view.progress = progress.or_else(|| pending().map(|text| ProgressView { phase: None, percent: 0, text }));
    }
}

/// How deep each node-role is in the graph: one deeper than the deepest that it requires.
fn depths<'a>(world: &'a World, name: &DeploymentName) -> BTreeMap<&'a NodeRoleId, u32> {
    let mut open: BTreeMap<&NodeRoleId, usize> = BTreeMap::new();
    let mut depths = BTreeMap::new();
    let mut ready = VecDeque::new();
    for (id, node_role) in world.node_roles_of(name) {
        let mut required: Vec<_> = node_role.spec.requires.iter().flat_map(|it| &it.candidates).collect();
        required.sort();
        required.dedup();
        let count = required.into_iter().filter(|it| world.node_role(it).is_some()).count();
        open.insert(id, count);
        if count == 0 {
            ready.push_back((id, 0));
        }
    }
    while let Some((id, depth)) = ready.pop_front() {
        depths.insert(id, depth);
        for dependant in world.dependants(id) {
            if let Some(count) = open.get_mut(dependant) {
                *count = count.saturating_sub(1);
                // The queue goes by depth, so that the last requirement to leave it is the deepest.
                if *count == 0 {
                    ready.push_back((dependant, depth + 1));
                }
            }
        }
    }
    depths
}
