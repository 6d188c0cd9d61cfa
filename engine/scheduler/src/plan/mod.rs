//! Resolves the wishes of a deployment (`aim.rs`) into a graph of node-roles: which roles land where (`land.rs`, `platform.rs`), what their
//! inputs are bound to (`bind.rs`, `parameter.rs`, `site.rs`), what they require (`wire.rs`), in which order they could run (`order.rs`), and what differs from
//! what was applied (`differ.rs`). All mistakes are reported together; equal Worlds give equal plans.

pub(crate) mod aim;
mod bind;
mod differ;
mod error;
mod land;
mod order;
pub(crate) mod parameter;
mod platform;
pub(crate) mod site;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use rebar_model::{
    Action, Deployment, DeploymentName, Digest, NodeRoleId, NodeRoleSpec, Plan, PlanStep, Wishes, World,
};

use aim::Aim;
pub use aim::wishes;
pub use error::PlanError;
use land::Landscape;
pub use parameter::parameter_value;

use crate::protect;

/// Resolves the wishes of a deployment into a graph, or reports every mistake in them.
pub fn plan(world: &World, name: &DeploymentName) -> Result<Plan, Vec<PlanError>> {
    make(world, &Aim::now(find(world, name)?))
}

/// The same for other wishes than those of now.
pub fn plan_towards(world: &World, name: &DeploymentName, wishes: &Wishes) -> Result<Plan, Vec<PlanError>> {
    make(world, &Aim::towards(find(world, name)?, wishes))
}

fn find<'a>(world: &'a World, name: &DeploymentName) -> Result<&'a Deployment, Vec<PlanError>> {
    world.deployments().get(name).ok_or_else(|| vec![PlanError::NoDeployment { name: name.clone() }])
}

fn make(world: &World, aim: &Aim<'_>) -> Result<Plan, Vec<PlanError>> {
    let deployment = &aim.deployment;
    let workload = world
        .workloads()
        .get(&deployment.spec.workload)
        .ok_or_else(|| vec![PlanError::NoWorkload { digest: deployment.spec.workload }])?;
    let mut errors = Vec::new();
    let landscape = land::land(world, aim, workload, &mut errors);
    let specs = specify(world, &landscape, &mut errors);
    let order = match order::order(&specs) {
        Ok(order) => order,
        Err(error) => {
            errors.push(error);
            BTreeMap::new()
        }
    };
    if !errors.is_empty() {
        errors.sort();
        errors.dedup();
        return Err(errors);
    }
    Ok(assemble(world, &landscape, specs, &order))
}

fn specify(
    world: &World,
    landscape: &Landscape<'_>,
    errors: &mut Vec<PlanError>,
) -> BTreeMap<NodeRoleId, NodeRoleSpec> {
    let mut specs = BTreeMap::new();
    for instance in landscape.instances() {
        let bindings = bind::bind(world, landscape, instance, errors);
        let requires = wire::wire(landscape, instance, &bindings, errors);
        let role = &instance.role.manifest.spec;
        let spec = NodeRoleSpec {
            id: instance.id.clone(),
            workload: landscape.workload.digest,
            content: instance.role.content,
            agent: instance.agent(),
            group: instance.group.clone(),
            ordinal: instance.ordinal,
            bindings,
            requires,
            lock: role.concurrency.as_ref().and_then(|it| it.lock.clone()),
            leave_after: Vec::new(),
        };
        specs.insert(instance.id.clone(), spec);
    }
    wire::check_conflicts(landscape, errors);
    specs
}

fn assemble(
    world: &World,
    landscape: &Landscape<'_>,
    specs: BTreeMap<NodeRoleId, NodeRoleSpec>,
    order: &BTreeMap<NodeRoleId, u32>,
) -> Plan {
    let (deployment, wishes) = (&landscape.aim.deployment, landscape.aim.wishes(world));
    let mut steps: Vec<PlanStep> = specs
        .into_iter()
        .map(|(id, spec)| PlanStep {
            depth: order.get(&id).copied().unwrap_or_default(),
            spec: Arc::new(spec),
            action: Action::Keep,
            differences: Vec::new(),
            undoes: false,
        })
        .collect();
    steps.sort_by(|a, b| (a.depth, &a.spec.id).cmp(&(b.depth, &b.spec.id)));
    differ::differ(world, landscape.workload, &mut steps);
    let leaving = differ::leaving(world, &deployment.name, &steps);
    let id = Digest::of_json(&(
        deployment.revision,
        &wishes,
        steps.iter().map(|it| &it.spec).collect::<Vec<_>>(),
        leaving.iter().map(|it| &it.spec.id).collect::<Vec<_>>(),
    ));
    steps.extend(leaving);
    let destructive = steps
        .iter()
        .filter(|it| matches!(it.action, Action::Create | Action::Change | Action::Retire))
        .filter(|it| world.role_of(&it.spec).is_some_and(|role| role.manifest.spec.destructive));
    let destructive = protect::sorted(destructive.map(|it| it.spec.id.role.clone()));
    let protected = steps.iter().filter(|it| it.undoes && keeps(world, it));
    let protected = protect::sorted(protected.map(|it| it.spec.id.role.clone()));
    Plan {
        id,
        deployment: deployment.name.clone(),
        base: deployment.revision,
        wishes,
        leaders: landscape.leaders.clone(),
        steps,
        destructive,
        protected,
    }
}

/// Whether the role of a step is protected: as it was applied, or as it is planned. Else a plan that unprotects a role could undo
/// it in the same breath.
fn keeps(world: &World, step: &PlanStep) -> bool {
    let applied = world.node_role(&step.spec.id).is_some_and(|it| protect::keeps(world, &it.spec));
    applied || protect::keeps(world, &step.spec)
}
