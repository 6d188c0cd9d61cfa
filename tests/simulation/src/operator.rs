//! A simulated operator who does what real ones do in the middle of everything: changes parameters, applies, retries, pauses, cancels,
//! adds and loses nodes, opens and closes the breaker, rebuilds.

use std::collections::BTreeMap;

use fastrand::Rng;
use jiff::Timestamp;
use rebar_model::{
    Actor, Connection, DeploymentSpec, Digest, EnrolToken, Facts, Node, NodeMode, NodeName, ParameterScope,
    ProviderKind, RoleName, TokenHash, World,
};
use rebar_scheduler::{Command, NodeRemoval, plan, protected};
use serde_json::json;

use crate::generate::{PARAMETERS, deployment_name, parse};

/// Who the operator is.
pub(crate) fn actor() -> Actor {
    Actor("operator".to_owned())
}

/// Takes a node under care.
pub(crate) fn add_node(name: &NodeName, now: Timestamp) -> Command {
    let node = Node {
        name: name.clone(),
        provider: ProviderKind::Join,
        machine: None,
        labels: BTreeMap::new(),
        profiles: Vec::new(),
        mode: NodeMode::Ready,
        facts: Some(Facts::default()),
        connection: Connection::Never,
        added_at: now,
    };
    let token = EnrolToken {
        hash: TokenHash(Digest::of(name.as_str().as_bytes())),
        node: name.clone(),
        expires_at: now,
        used_at: None,
    };
    Command::AddNode { node: Box::new(node), token }
}

/// How an operator treats what is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// Names it, whatever it is.
    Names,
    /// Does not think of it.
    Forgets,
}

impl Care {
    fn of(rng: &mut Rng) -> Self {
        if rng.bool() { Self::Names } else { Self::Forgets }
    }

    fn allowed(self, protected: Vec<RoleName>) -> Vec<RoleName> {
        if self == Self::Names { protected } else { Vec::new() }
    }
}

/// The protected roles that a command names.
pub(crate) fn named(command: &Command) -> &[RoleName] {
    match command {
        Command::Accept { allowed, .. }
        | Command::Rebuild { allowed, .. }
        | Command::Destroy { allowed, .. }
        | Command::RemoveNode { removal: NodeRemoval::Gone { allowed }, .. } => allowed,
        _ => &[],
    }
}

/// Plans and accepts; none if the plan has mistakes.
pub(crate) fn apply(world: &World, care: Care) -> Option<Command> {
    let deployment = deployment_name();
    let plan = plan(world, &deployment).ok()?;
    let allowed = care.allowed(plan.protected);
    Some(Command::Accept { deployment, plan: plan.id, made: None, towards: None, grants: plan.destructive, allowed })
}

/// The wishes with other members.
pub(crate) fn members(world: &World, change: impl FnOnce(&mut DeploymentSpec)) -> Option<Command> {
    let name = deployment_name();
    let mut spec = world.deployments().get(&name)?.spec.clone();
    change(&mut spec);
    Some(Command::ChangeDeployment { name, spec })
}

/// Something that an operator does; several commands in a row.
pub(crate) fn whim(rng: &mut Rng, world: &World) -> Vec<Command> {
    let deployment = deployment_name();
    let reason = "because".to_owned();
    let set = |rng: &mut Rng| {
        let name = rng.choice(PARAMETERS).unwrap_or("p0");
        let value = Some(json!(rng.u8(..4)));
        Command::SetParameter { scope: ParameterScope::Deployment(deployment_name()), name: parse(name), value }
    };
    match rng.u8(..14) {
        0..4 => vec![set(rng)],
        4..6 => apply(world, Care::of(rng)).into_iter().collect(),
        6 => vec![Command::Retry { deployment, ids: Vec::new() }],
        7 => vec![Command::Pause { deployment, reason }],
        8 => vec![Command::Resume { deployment }],
        9 => vec![Command::Cancel { deployment, reason }],
        10 => vec![Command::TripBreaker { deployment, reason }],
        11 => vec![Command::ResetBreaker { deployment, probe: rng.bool() }],
        12 => {
            let allowed = Care::of(rng).allowed(protected(world, &deployment));
            vec![Command::Rebuild { deployment, allowed }]
        }
        _ => shrink_or_grow(rng, world),
    }
}

fn shrink_or_grow(rng: &mut Rng, world: &World) -> Vec<Command> {
    let Some(deployment) = world.deployments().get(&deployment_name()) else { return Vec::new() };
    let members: Vec<NodeName> = deployment.spec.groups.values().flatten().cloned().collect();
    let spare: Vec<&NodeName> = world.nodes().keys().filter(|it| !members.contains(it)).collect();
    match (rng.bool(), rng.choice(&spare), rng.choice(&members)) {
        (true, Some(node), _) => {
            let node = (*node).clone();
            members_of(world, move |back| back.push(node))
        }
        (_, _, Some(node)) if members.len() > 2 => {
            let node = node.clone();
            members_of(world, move |back| back.retain(|it| *it != node))
        }
        _ => Vec::new(),
    }
}

fn members_of(world: &World, change: impl FnOnce(&mut Vec<NodeName>)) -> Vec<Command> {
    let group = parse("back");
    members(world, |spec| change(spec.groups.entry(group).or_default())).into_iter().collect()
}

/// Gives up a node for good.
pub(crate) fn gone(world: &World, node: NodeName) -> Command {
    let allowed = protected(world, &deployment_name());
    Command::RemoveNode { node, removal: NodeRemoval::Gone { allowed } }
}
