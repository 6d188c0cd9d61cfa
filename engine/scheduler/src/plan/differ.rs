//! What differs between what was applied and what a plan asks for: the action of every step, and why.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rebar_model::{
    Action, Binding, Bound, DeploymentName, Difference, Intent, NodeRole, NodeRoleId, NodeRoleSpec, OnChange, PlanStep,
    State, Take, Workload, World,
};

use super::bind::shown;
use crate::{protect::stands, resolve::replace_key};

/// Gives every step its action. Steps come in an order in which they could run.
pub(super) fn differ(world: &World, workload: &Workload, steps: &mut [PlanStep]) {
    let mut moving: BTreeSet<NodeRoleId> = BTreeSet::new();
    for step in steps {
        let known = world.node_role(&step.spec.id);
        let (action, differences) = match known {
            None => (Action::Create, Vec::new()),
            Some(known) if known.status.intent != Intent::Present => (Action::Create, vec![plain("wanted again")]),
            Some(known) => {
                let mut differences = differences(world, workload, &known.spec, &step.spec);
                if let State::Failed { failure, .. } = &known.status.state {
                    differences.push(plain(&format!("failed last time: {}", failure.message)));
                }
                let upstream = step.spec.requires.iter().flat_map(|it| &it.candidates).any(|it| moving.contains(it));
                let action = match (differences.is_empty(), upstream) {
                    (false, _) => Action::Change,
                    (true, true) => Action::Maybe,
                    (true, false) => Action::Keep,
                };
                (action, differences)
            }
        };
        if action != Action::Keep {
            step.undoes = known.is_some_and(|it| undoes(world, it, &step.spec, &moving));
            moving.insert(step.spec.id.clone());
        }
        (step.action, step.differences) = (action, differences);
    }
}

/// Whether a node-role that is run again is undone first, or may be: what is upstream of it and runs again may give it another
/// value. Nothing runs again without a plan, so that no other undo can come of it.
fn undoes(world: &World, known: &NodeRole, spec: &NodeRoleSpec, moving: &BTreeSet<NodeRoleId>) -> bool {
    let status = &known.status;
    // What stands there, and what an attempt that is under way will leave there.
    let stands = status.last.as_ref().map(|it| Ok(it.replace_key));
    let comes = matches!(status.state, State::Running { .. }).then(|| replace_key(world, &known.spec));
    let mut seen = stands.into_iter().chain(comes).peekable();
    if seen.peek().is_none() {
        return false;
    }
    let may_differ = |it: &Binding| match &it.bound {
        // Of these the key has who may produce, not what.
        Bound::Value { .. } | Bound::Outputs { take: Take::Any | Take::Quorum, .. } => false,
        Bound::Outputs { producers, .. } => producers.iter().any(|id| moving.contains(id)),
    };
    let planned = replace_key(world, spec);
    planned.is_err()
        || seen.any(|it| it != planned)
        || spec.bindings.values().any(|it| it.on_change == OnChange::Redeploy && may_differ(it))
}

fn plain(what: &str) -> Difference {
    Difference { what: what.to_owned(), before: None, after: None, origin: None }
}

fn differences(world: &World, workload: &Workload, old: &NodeRoleSpec, new: &NodeRoleSpec) -> Vec<Difference> {
    let mut differences = Vec::new();
    if old.content != new.content {
        let before = world.workloads().get(&old.workload).map(|it| it.reference().into());
        let after = Some(workload.reference().into());
        differences.push(Difference { what: "role content".to_owned(), before, after, origin: None });
    }
    if old.agent != new.agent {
        differences.push(plain("runs somewhere else"));
    }
    let names: BTreeSet<_> = old.bindings.keys().chain(new.bindings.keys()).collect();
    for name in names {
        let (before, after) = (old.bindings.get(name).map(Arc::as_ref), new.bindings.get(name).map(Arc::as_ref));
        if !is_same(before, after) && after.or(before).is_some_and(|it| it.on_change != OnChange::Ignore) {
            differences.push(Difference {
                what: format!("input {name}"),
                before: before.and_then(shown),
                after: after.and_then(shown),
                origin: after.map(origin),
            });
        }
    }
    differences
}

/// Whether two bindings mean the same value; where it was decided does not matter.
fn is_same(old: Option<&Binding>, new: Option<&Binding>) -> bool {
    match (old.map(|it| &it.bound), new.map(|it| &it.bound)) {
        (Some(Bound::Value { value: old, .. }), Some(Bound::Value { value: new, .. })) => old == new,
        (old, new) => old == new,
    }
}

fn origin(binding: &Binding) -> String {
    match &binding.bound {
        Bound::Value { origin, .. } => origin.clone(),
        Bound::Outputs { role, output, .. } => format!("known after {role}.{output}"),
    }
}

/// The node-roles that are there and not in the plan: undone, or forgotten where the node is gone.
pub(super) fn leaving(world: &World, deployment: &DeploymentName, steps: &[PlanStep]) -> Vec<PlanStep> {
    let planned: BTreeMap<&NodeRoleId, &PlanStep> = steps.iter().map(|it| (&it.spec.id, it)).collect();
    let mut leaving = Vec::new();
    for (id, known) in world.node_roles_of(deployment).filter(|(id, _)| !planned.contains_key(id)) {
        let there = id.node().is_none_or(|it| world.nodes().contains_key(it));
        // Those that used it and stay are brought to their new wiring before it is undone.
        let users = world.dependants(id).filter(|it| planned.contains_key(it)).cloned();
        let mut leave_after: Vec<_> = known.spec.leave_after.iter().cloned().chain(users).collect();
        leave_after.sort();
        leave_after.dedup();
        let spec = NodeRoleSpec { leave_after, ..(*known.spec).clone() };
        leaving.push(PlanStep {
            spec: Arc::new(spec),
            action: if there { Action::Retire } else { Action::Forget },
            differences: Vec::new(),
            undoes: stands(known),
            depth: 0,
        });
    }
    leaving
}
