//! What must not be lost: the node-roles of protected roles that something is to be taken away from, and the refusal to do so
//! while an operator has not named the role. What a plan takes away is `plan/differ.rs`.

use rebar_model::{DeploymentName, Intent, NodeRole, NodeRoleSpec, RoleName, State, World};

use crate::Refusal;

/// The roles of a deployment that keep what must not be lost, and would lose it if everything were undone.
pub fn protected(world: &World, name: &DeploymentName) -> Vec<RoleName> {
    roles(world, world.node_roles_of(name).map(|(_, it)| it))
}

/// The protected roles among node-roles that are about to be taken away.
pub(crate) fn roles<'a>(world: &World, leaving: impl Iterator<Item = &'a NodeRole>) -> Vec<RoleName> {
    let kept = leaving.filter(|it| stands(it) && keeps(world, &it.spec));
    sorted(kept.map(|it| it.spec.id.role.clone()))
}

/// Whether a node-role has anything to lose: it was there once, and nobody has asked for its end yet. Whoever did was asked then.
pub(crate) fn stands(node_role: &NodeRole) -> bool {
    let status = &node_role.status;
    status.intent == Intent::Present && status.state != State::Removed && status.left_traces()
}

/// Whether its role is protected.
pub(crate) fn keeps(world: &World, spec: &NodeRoleSpec) -> bool {
    world.role_of(spec).is_some_and(|it| it.manifest.spec.protect)
}

/// Each role once.
pub(crate) fn sorted(roles: impl Iterator<Item = RoleName>) -> Vec<RoleName> {
    let mut roles: Vec<_> = roles.collect();
    roles.sort();
    roles.dedup();
    roles
}

/// Refuses to take away what an operator has not named.
pub(crate) fn refuse(protected: Vec<RoleName>, allowed: &[RoleName]) -> Result<(), Refusal> {
    let roles: Vec<_> = protected.into_iter().filter(|it| !allowed.contains(it)).collect();
    if roles.is_empty() { Ok(()) } else { Err(Refusal::Protected { roles }) }
}
