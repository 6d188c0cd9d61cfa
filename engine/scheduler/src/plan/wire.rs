//! What an instance requires: the producers of its inputs, its `requires`, the soft order that holds when both sides are there, and
//! barriers. And the capabilities that exclude each other.

use std::{collections::BTreeMap, sync::Arc};

use rebar_model::{
    Binding, Bound, CapabilityName, Ident, NodeRoleId, Require, Requirement, RoleDefinition, RoleName, Scope, Take,
};

use super::{
    PlanError,
    bind::producers,
    land::{Instance, Landscape},
    platform,
};

/// Everything that an instance requires, each role once a reason.
pub(super) fn wire(
    landscape: &Landscape<'_>,
    instance: &Instance<'_>,
    bindings: &BTreeMap<Ident, Arc<Binding>>,
    errors: &mut Vec<PlanError>,
) -> Vec<Requirement> {
    let mut requires = Vec::new();
    for (name, binding) in bindings {
        if let Bound::Outputs { role, take, producers, .. } = &binding.bound {
            requires.push(requirement(role, *take, producers.clone(), format!("input {name}")));
        }
    }
    hard(landscape, instance, &mut requires, errors);
    soft(landscape, instance, &mut requires);
    for requirement in &mut requires {
        raise_barrier(landscape, requirement);
    }
    requires.retain(|it| !it.candidates.is_empty());
    requires
}

fn requirement(role: &RoleName, take: Take, candidates: Vec<NodeRoleId>, via: String) -> Requirement {
    Requirement { role: role.clone(), take, candidates, via }
}

fn hard(
    landscape: &Landscape<'_>,
    instance: &Instance<'_>,
    requires: &mut Vec<Requirement>,
    errors: &mut Vec<PlanError>,
) {
    for require in &instance.role.manifest.spec.requires {
        let (roles, what) = match (&require.role, &require.capability) {
            (Some(role), _) => (vec![role.clone()], format!("role `{role}`")),
            (None, Some(capability)) => {
                (providers(landscape, instance, capability, require.take), format!("capability `{capability}`"))
            }
            (None, None) => continue,
        };
        let mut candidates = Vec::new();
        for role in &roles {
            match producers(landscape, instance, role, require.take, &what) {
                Ok(found) if !found.is_empty() => candidates.push((role.clone(), found)),
                Ok(_) => {}
                Err(error) => errors.push(error),
            }
        }
        if candidates.is_empty() && !require.optional && !require.take.collects() {
            let place = instance.node.map_or_else(|| "here".to_owned(), |it| format!("on `{}`", it.name));
            let hint = platform::left_out(landscape.workload, able(landscape, require), instance.node);
            errors.push(PlanError::Unprovided { id: instance.id.clone(), what, place, hint });
            continue;
        }
        if require.capability.is_some() && require.take == Take::Same && candidates.len() > 1 {
            let names = candidates.iter().map(|(role, _)| role.to_string()).collect::<Vec<_>>().join(", ");
            errors.push(PlanError::Ambiguous { id: instance.id.clone(), what, candidates: names });
            continue;
        }
        let via = format!("requires {what}");
        requires
            .extend(candidates.into_iter().map(|(role, found)| requirement(&role, require.take, found, via.clone())));
    }
}

/// The roles of the workload that could meet a requirement.
fn able<'a>(landscape: &'a Landscape<'_>, require: &'a Require) -> impl Iterator<Item = &'a RoleName> {
    let meets = |name: &RoleName, role: &RoleDefinition| match (&require.role, &require.capability) {
        (Some(role), _) => name == role,
        (None, Some(capability)) => role.manifest.spec.provides.contains(capability),
        (None, None) => false,
    };
    landscape.workload.roles.iter().filter(move |(name, role)| meets(name, role)).map(|(name, _)| name)
}

/// The roles that provide a capability, where the instance can see them.
fn providers(
    landscape: &Landscape<'_>,
    instance: &Instance<'_>,
    capability: &CapabilityName,
    take: Take,
) -> Vec<RoleName> {
    let seen = |role: &RoleName| match take {
        Take::Same => landscape.in_sight(role, instance),
        _ => !landscape.of_role(role).is_empty(),
    };
    landscape.providing(capability).filter(|it| seen(it)).cloned().collect()
}

/// Soft order: `after` of this role, and `before` of others that name it.
fn soft(landscape: &Landscape<'_>, instance: &Instance<'_>, requires: &mut Vec<Requirement>) {
    let me = &instance.id.role;
    for role in &instance.role.manifest.spec.after {
        add_soft(landscape, instance, role, "after", requires);
    }
    for (other, role) in &landscape.workload.roles {
        if role.manifest.spec.before.contains(me) {
            add_soft(landscape, instance, other, "before", requires);
        }
    }
}

fn add_soft(
    landscape: &Landscape<'_>,
    instance: &Instance<'_>,
    role: &RoleName,
    word: &str,
    requires: &mut Vec<Requirement>,
) {
    let found: Vec<_> = landscape.beside(role, instance).into_iter().map(|it| it.id.clone()).collect();
    requires.push(requirement(role, Take::All, found, format!("{word} {role}")));
}

/// A barrier holds its dependants until every instance is active.
fn raise_barrier(landscape: &Landscape<'_>, requirement: &mut Requirement) {
    let Some(role) = landscape.workload.roles.get(&requirement.role) else { return };
    if role.manifest.spec.barrier && role.manifest.spec.scope == Scope::Node {
        requirement.candidates = landscape.of_role(&requirement.role).iter().map(|it| it.id.clone()).collect();
        requirement.take = Take::All;
    }
}

/// Reports roles on one node that exclude each other.
pub(super) fn check_conflicts(landscape: &Landscape<'_>, errors: &mut Vec<PlanError>) {
    for instance in landscape.instances() {
        for capability in &instance.role.manifest.spec.conflicts {
            let others = landscape.providing(capability).filter(|it| **it != instance.id.role);
            for rival in others.filter_map(|it| landscape.same_target(it, instance)) {
                errors.push(PlanError::Conflict {
                    role: instance.id.role.clone(),
                    other: rival.id.role.clone(),
                    capability: capability.clone(),
                    place: instance.node.map_or_else(|| "the deployment".to_owned(), |it| format!("`{}`", it.name)),
                });
            }
        }
    }
}
