//! Makes attempts: which phases they ask for, how long they may take.

use jiff::Timestamp;
use rebar_model::{
    Attempt, AttemptKind, BuiltinAction, NodeRole, Phase, PhaseSpec, RebootPolicy, RoleSpec, Runner, Span, World,
};

use crate::resolve::Resolved;

/// What an attempt may take beyond the time-outs of its phases: fetching content, the way there and back.
pub const DEADLINE_SLACK: Span = Span::from_secs(60);

/// What a service may take where the role says nothing.
const SERVICE_TIMEOUT: Span = Span::from_secs(60);

/// What a machine may take to go down and come back.
const REBOOT_TIMEOUT: Span = Span::from_secs(15 * 60);

/// The input with which a role says how long its service may take.
fn timeout_input(resolved: &Resolved) -> Option<Span> {
    let (_, input) = resolved.inputs.iter().find(|(name, _)| name.as_str() == "timeout")?;
    input.value.as_str()?.parse().ok()
}

/// The phases of an attempt, in the order in which they run; only those that the role has.
pub fn phases_of(role: &RoleSpec, kind: AttemptKind, content_changed: bool) -> Vec<Phase> {
    let wanted: &[Phase] = match kind {
        AttemptKind::Undo => &[Phase::Drain, Phase::Undo],
        AttemptKind::Replace => &[Phase::Drain, Phase::Undo, Phase::Apply, Phase::Verify],
        AttemptKind::Apply if content_changed => &[Phase::Check, Phase::Drain, Phase::Apply, Phase::Verify],
        AttemptKind::Apply => &[Phase::Check, Phase::Apply, Phase::Verify],
    };
    wanted.iter().copied().filter(|phase| role.phases.get(*phase).is_some()).collect()
}

/// Whether there is anything for an agent to do in an attempt with these phases. Files of templates come and go without any.
pub(crate) fn has_work(role: &RoleSpec, kind: AttemptKind, phases: &[Phase]) -> bool {
    match &role.runner {
        Runner::Builtin { action: BuiltinAction::NodeReboot } => kind != AttemptKind::Undo,
        Runner::Script { templates, .. } => !phases.is_empty() || !templates.is_empty(),
        _ => !phases.is_empty(),
    }
}

/// What kind of attempt brings a node-role to Active.
pub(crate) fn apply_kind(node_role: &NodeRole, resolved: &Resolved) -> AttemptKind {
    match &node_role.status.last {
        Some(last) if last.replace_key != resolved.replace_key => AttemptKind::Replace,
        _ => AttemptKind::Apply,
    }
}

/// The next attempt of a node-role.
pub(crate) fn next_attempt(
    world: &World,
    node_role: &NodeRole,
    role: &RoleSpec,
    kind: AttemptKind,
    resolved: Resolved,
    now: Timestamp,
) -> Attempt {
    let changed = node_role.status.last.as_ref().is_some_and(|it| it.content != node_role.spec.content);
    let phases = phases_of(role, kind, changed);
    let deadline = deadline(world, node_role, role, &phases, &resolved, now);
    Attempt {
        id: world.next_attempt(),
        node_role: node_role.spec.id.clone(),
        number: node_role.status.attempts + 1,
        kind,
        phases,
        node: node_role.spec.agent.clone(),
        epoch: world.epoch(),
        workload: node_role.spec.workload,
        content: node_role.spec.content,
        key: resolved.key,
        replace_key: resolved.replace_key,
        inputs: resolved.inputs,
        started_at: now,
        deadline,
        accepted_at: None,
        ended_at: None,
        outcome: None,
    }
}

/// When an attempt is given up.
fn deadline(
    world: &World,
    node_role: &NodeRole,
    role: &RoleSpec,
    phases: &[Phase],
    resolved: &Resolved,
    now: Timestamp,
) -> Timestamp {
    match role.runner {
        Runner::Builtin { action: BuiltinAction::NodeReboot } => {
            // The agent lets its neighbours end before it reboots the machine.
            let neighbours = world.running_on(node_role.spec.agent.as_ref());
            let last = neighbours.filter_map(|id| world.node_role(id)?.status.state.deadline()).max();
            REBOOT_TIMEOUT.after(last.map_or(now, |it| it.max(now)))
        }
        Runner::Builtin { .. } | Runner::Noop {} => timeout_input(resolved).unwrap_or(SERVICE_TIMEOUT).after(now),
        _ => {
            let reboot = match role.reboot {
                RebootPolicy::Never => Span::default(),
                RebootPolicy::Allowed | RebootPolicy::Always => REBOOT_TIMEOUT,
            };
            let phases = phases.iter().filter_map(|phase| role.phases.get(*phase));
            phases
                .map(|it| it.timeout.unwrap_or(PhaseSpec::DEFAULT_TIMEOUT))
                .fold(DEADLINE_SLACK.plus(reboot), Span::plus)
                .after(now)
        }
    }
}
