//! Commands of people that are a fact or two: nodes, tokens, workloads, parameters, deployments, retry, pause, cancel. Accepting a
//! plan is `accept.rs`, rebuild and destroy are `lifecycle.rs`.

use std::sync::Arc;

use jiff::Timestamp;
use rebar_model::{
    Actor, Breaker, Change, Deployment, DeploymentName, DeploymentSpec, EnrolToken, Intent, Mode, Node, NodeName,
    NodeRoleId, Parameter, ParameterScope, RevisionNo, State, TokenHash, Trigger, Workload, World,
};

use super::{
    accept::{Given, Named, accept},
    breaker,
    lifecycle::{busy, find, leave, wipe},
    move_to, moved,
    report::cancel,
    upgrade,
};
use crate::{Command, Decision, NodeRemoval, Refusal, protect};

/// Decides what follows from a command.
pub(super) fn decide(world: &World, command: Command, by: &Actor, now: Timestamp) -> Result<Decision, Refusal> {
    match command {
        Command::AddNode { node, token } => add_node(world, *node, token),
        Command::NameMachine { node, machine } => change_node(world, &node, |it| it.machine = Some(machine)),
        Command::ChangeNode { node, labels, profiles } => change_node(world, &node, |it| {
            for (name, value) in labels {
                match value {
                    Some(value) => drop(it.labels.insert(name, value)),
                    None => drop(it.labels.remove(&name)),
                }
            }
            if let Some(profiles) = profiles {
                it.profiles = profiles;
            }
        }),
        Command::SetNodeMode { node, mode } => {
            let mut decision = change_node(world, &node, |it| it.mode = mode)?;
            for id in world.queued_on(Some(&node)) {
                decision.look(id);
            }
            upgrade::go_on(world, &mut decision);
            Ok(decision)
        }
        Command::RemoveNode { node, removal } => {
            let mut decision = remove_node(world, &node, &removal)?;
            upgrade::go_on(world, &mut decision);
            Ok(decision)
        }
        Command::ImportAgentRelease { version, platform, build } => upgrade::import(world, version, platform, build),
        Command::UpgradeAgents { wish } => upgrade::start(world, wish, by, now),
        Command::StopUpgrade => upgrade::stop(world, by, now),
        Command::PutEnrolToken { token } => {
            find_node(world, &token.node)?;
            Ok(only(Change::EnrolTokenPut { token }))
        }
        Command::UseEnrolToken { hash } => use_token(world, hash, now),
        Command::PutApiToken { token } => Ok(only(Change::ApiTokenPut { token })),
        Command::RemoveApiToken { hash } if world.api_tokens().contains_key(&hash) => {
            Ok(only(Change::ApiTokenRemoved { hash }))
        }
        Command::RemoveApiToken { hash } => Err(Refusal::NotFound { kind: "token", name: hash.to_string() }),
        Command::ImportWorkload { workload } => import(world, workload),
        Command::RemoveWorkload { digest } => remove_workload(world, digest),
        Command::SetParameter { scope, name, value } => {
            find_scope(world, &scope)?;
            let parameter = value.map(|value| Parameter { value, by: by.clone(), at: now });
            Ok(only(Change::ParameterSet { scope, name, parameter }))
        }
        Command::CreateDeployment { name, spec } => create(world, name, spec, now),
        Command::ChangeDeployment { name, spec } => {
            let deployment = find(world, &name)?;
            find_workload(world, &spec)?;
            let deployment = Deployment { spec, ..deployment.clone() };
            Ok(only(Change::DeploymentPut { deployment: Box::new(deployment) }))
        }
        Command::Accept { deployment, plan, made, towards, grants, allowed } => {
            accept(world, &deployment, &Given { id: plan, made, towards }, &Named { grants, allowed }, by, now)
        }
        Command::TripBreaker { deployment, reason } => breaker::trip(world, &deployment, reason, by, now),
        Command::ResetBreaker { deployment, probe } => breaker::reset(world, &deployment, probe, by, now),
        Command::Pause { deployment, reason } => pause(world, &deployment, Some(reason)),
        Command::Resume { deployment } => pause(world, &deployment, None),
        Command::Retry { deployment, ids } => retry(world, &deployment, &ids),
        Command::Cancel { deployment, reason } => cancel_all(world, &deployment, reason),
        Command::Rebuild { deployment, allowed } => wipe(world, &deployment, Mode::Rebuilding, &allowed),
        Command::Destroy { deployment, allowed } => wipe(world, &deployment, Mode::Destroying, &allowed),
    }
}

fn only(change: Change) -> Decision {
    Decision { changes: vec![change], ..Decision::default() }
}

fn find_node<'a>(world: &'a World, name: &NodeName) -> Result<&'a Node, Refusal> {
    world.nodes().get(name).ok_or_else(|| Refusal::NotFound { kind: "node", name: name.to_string() })
}

fn find_scope(world: &World, scope: &ParameterScope) -> Result<(), Refusal> {
    match scope {
        ParameterScope::Global | ParameterScope::Profile(_) => Ok(()),
        ParameterScope::Deployment(name) => find(world, name).map(|_| ()),
        ParameterScope::Node(name) => find_node(world, name).map(|_| ()),
    }
}

fn find_workload(world: &World, spec: &DeploymentSpec) -> Result<(), Refusal> {
    if world.workloads().contains_key(&spec.workload) {
        return Ok(());
    }
    Err(Refusal::NotFound { kind: "workload", name: spec.workload.to_string() })
}

fn add_node(world: &World, node: Node, token: EnrolToken) -> Result<Decision, Refusal> {
    if world.nodes().contains_key(&node.name) {
        return Err(Refusal::Exists { kind: "node", name: node.name.to_string() });
    }
    let mut decision = only(Change::NodePut { node: Box::new(node) });
    decision.change(Change::EnrolTokenPut { token });
    Ok(decision)
}

fn change_node(world: &World, name: &NodeName, change: impl FnOnce(&mut Node)) -> Result<Decision, Refusal> {
    let mut node = find_node(world, name)?.clone();
    change(&mut node);
    Ok(only(Change::NodePut { node: Box::new(node) }))
}

fn remove_node(world: &World, name: &NodeName, removal: &NodeRemoval) -> Result<Decision, Refusal> {
    find_node(world, name)?;
    let on_it = |id: &NodeRoleId| id.node() == Some(name);
    let members: Vec<_> = world
        .deployments()
        .values()
        .filter(|it| {
            it.spec.groups.values().flatten().any(|node| node == name)
                || world.node_roles_of(&it.name).any(|(id, _)| on_it(id))
        })
        .collect();
    match removal {
        NodeRemoval::Orderly if members.is_empty() => {}
        NodeRemoval::Orderly => {
            let users = members.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Refusal::InUse { kind: "node", name: name.to_string(), users });
        }
        // A machine that is gone took with it what its roles kept, and refusing does not bring that back. But a person may only
        // believe that it is gone; and after this nobody looks for it any more, and what the engine made is destroyed.
        NodeRemoval::Gone { allowed } => {
            let forgotten = world.node_roles().iter().filter(|(id, _)| on_it(id)).map(|(_, it)| it);
            protect::refuse(protect::roles(world, forgotten), allowed)?;
        }
    }
    let mut decision = Decision::default();
    for deployment in members {
        let mut changed = deployment.clone();
        for nodes in changed.spec.groups.values_mut() {
            nodes.retain(|it| it != name);
        }
        decision.change(Change::DeploymentPut { deployment: Box::new(changed) });
        for (id, node_role) in world.node_roles_of(&deployment.name).filter(|(id, _)| on_it(id)) {
            leave(world, node_role, Intent::Forgotten, &mut decision)?;
            decision.look(id);
        }
    }
    for token in world.enrol_tokens().values().filter(|it| it.node == *name) {
        decision.change(Change::EnrolTokenRemoved { hash: token.hash });
    }
    decision.change(Change::NodeRemoved { name: name.clone() });
    Ok(decision)
}

fn use_token(world: &World, hash: TokenHash, now: Timestamp) -> Result<Decision, Refusal> {
    let token = world.enrol_tokens().get(&hash).ok_or(Refusal::BadToken { why: "is not known" })?;
    if token.used_at.is_some() {
        return Err(Refusal::BadToken { why: "was used already" });
    }
    if token.expires_at <= now {
        return Err(Refusal::BadToken { why: "has expired" });
    }
    Ok(only(Change::EnrolTokenPut { token: EnrolToken { used_at: Some(now), ..token.clone() } }))
}

fn import(world: &World, workload: Arc<Workload>) -> Result<Decision, Refusal> {
    let known = world.workloads().values().find(|it| it.reference() == workload.reference());
    match known {
        Some(it) if it.digest == workload.digest => Ok(Decision::default()),
        // A version names one content for ever: whoever reads `name@version` in a log has to be able to trust it.
        Some(_) => Err(Refusal::Exists { kind: "workload", name: workload.reference() }),
        None => Ok(only(Change::WorkloadImported { workload })),
    }
}

fn remove_workload(world: &World, digest: rebar_model::Digest) -> Result<Decision, Refusal> {
    let workload = world
        .workloads()
        .get(&digest)
        .ok_or_else(|| Refusal::NotFound { kind: "workload", name: digest.to_string() })?;
    let users: Vec<_> = world
        .deployments()
        .values()
        .filter(|it| {
            it.spec.workload == digest || world.node_roles_of(&it.name).any(|(_, it)| it.spec.workload == digest)
        })
        .map(|it| it.name.as_str())
        .collect();
    if users.is_empty() {
        return Ok(only(Change::WorkloadRemoved { digest }));
    }
    Err(Refusal::InUse { kind: "workload", name: workload.reference(), users: users.join(", ") })
}

fn create(world: &World, name: DeploymentName, spec: DeploymentSpec, now: Timestamp) -> Result<Decision, Refusal> {
    if world.deployments().contains_key(&name) {
        return Err(Refusal::Exists { kind: "deployment", name: name.to_string() });
    }
    find_workload(world, &spec)?;
    let deployment = Deployment {
        name,
        spec,
        revision: RevisionNo::default(),
        mode: Mode::Converging,
        paused: None,
        leaders: std::collections::BTreeMap::new(),
        created_at: now,
        rebuilds: 0,
        breaker: Breaker::default(),
    };
    Ok(only(Change::DeploymentPut { deployment: Box::new(deployment) }))
}

fn pause(world: &World, name: &DeploymentName, reason: Option<String>) -> Result<Decision, Refusal> {
    let deployment = find(world, name)?;
    let going_on = reason.is_none();
    let deployment = Deployment { paused: reason, ..deployment.clone() };
    let mut decision = only(Change::DeploymentPut { deployment: Box::new(deployment) });
    if going_on {
        for (id, _) in world.node_roles_of(name) {
            decision.look(id);
        }
    }
    Ok(decision)
}

fn cancel_all(world: &World, name: &DeploymentName, reason: String) -> Result<Decision, Refusal> {
    let mut decision = pause(world, name, Some(reason))?;
    for (_, node_role) in world.node_roles_of(name) {
        cancel(world, node_role, &mut decision);
    }
    Ok(decision)
}

fn retry(world: &World, name: &DeploymentName, ids: &[NodeRoleId]) -> Result<Decision, Refusal> {
    let deployment = find(world, name)?;
    if let Some(id) = ids.iter().find(|id| world.node_role(id).is_none()) {
        return Err(Refusal::NotFound { kind: "node-role", name: id.to_string() });
    }
    let mut decision = Decision::default();
    for (id, node_role) in world.node_roles_of(&deployment.name) {
        let wanted = ids.is_empty() || ids.contains(id);
        if wanted && matches!(node_role.status.state, State::Failed { .. }) {
            let mut status = moved(&node_role.status, [Trigger::Retried])?;
            (status.tries, status.not_before) = (0, None);
            decision.change(move_to(id, status));
            decision.look(id);
        }
    }
    if decision.changes.is_empty() {
        busy(deployment)?;
        return Err(Refusal::NothingFailed { deployment: name.clone() });
    }
    Ok(decision)
}
