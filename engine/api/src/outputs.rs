//! What a deployment offers to people: the outputs that its workload declares, with the values that its node-roles have given.

use rebar_model::{Deployment, GroupField, GroupName, Ident, NodeRole, RoleName, Source, Take, Workload, World};
use rebar_scheduler::parameter_value;
use serde_json::{Map, Value};

/// An output with its value, secrets as references.
pub(crate) struct Output {
    pub name: Ident,
    pub value: Option<Value>,
    pub secret: bool,
    pub description: Option<String>,
    pub origin: String,
}

/// The outputs of a deployment. They are those of the workload version that was applied last.
pub(crate) fn outputs(world: &World, deployment: &Deployment) -> Vec<Output> {
    let applied = world.revision(&deployment.name).map_or(&deployment.spec, |it| &it.wishes.spec);
    let Some(workload) = world.workloads().get(&applied.workload) else { return Vec::new() };
    let declared = workload.spec.outputs.iter();
    declared
        .map(|(name, output)| Output {
            name: name.clone(),
            value: value(world, deployment, workload, &output.from),
            secret: output.secret,
            description: output.description.clone(),
            origin: origin(&output.from),
        })
        .collect()
}

fn value(world: &World, deployment: &Deployment, workload: &Workload, source: &Source) -> Option<Value> {
    match source {
        // As the deployment sees it: no node has a say in what it offers.
        Source::Deployment(parameter) => parameter_value(world, deployment, workload, parameter),
        Source::Group { group, field } => group_value(world, deployment, group, *field),
        Source::Role { role, output, take } => role_value(world, deployment, role, output, *take),
        // A deployment is no node, and the site and expressions belong to the planner.
        Source::Node(_) | Source::Expr(_) | Source::Site(_) | Source::Secret(_) => None,
    }
}

fn group_value(world: &World, deployment: &Deployment, group: &GroupName, field: GroupField) -> Option<Value> {
    let nodes = deployment.spec.groups.get(group)?;
    match field {
        GroupField::Count => Some(nodes.len().into()),
        GroupField::Names => Some(nodes.iter().map(ToString::to_string).collect()),
        GroupField::Addresses => {
            let address = |name| Some(world.nodes().get(name)?.primary_address()?.to_string());
            nodes.iter().map(address).collect::<Option<Vec<_>>>().map(Into::into)
        }
    }
}

fn role_value(world: &World, deployment: &Deployment, role: &RoleName, output: &Ident, take: Take) -> Option<Value> {
    let mut instances: Vec<&NodeRole> = world
        .node_roles_of(&deployment.name)
        .filter(|(id, it)| id.role == *role && it.status.intent == rebar_model::Intent::Present)
        .map(|(_, it)| it)
        .collect();
    instances.sort_by_key(|it| (it.spec.ordinal, &it.spec.id));
    let given = |it: &NodeRole| it.status.last.as_ref()?.outputs.get(output).cloned();
    match take {
        Take::All | Take::Quorum => Some(instances.iter().filter_map(|it| given(it)).collect()),
        Take::ByNode => {
            let by_node = instances.iter().filter_map(|it| Some((it.spec.id.node()?.to_string(), given(it)?)));
            Some(Value::Object(by_node.collect::<Map<_, _>>()))
        }
        Take::Same | Take::Leader | Take::One | Take::Any => instances.iter().find_map(|it| given(it)),
    }
}

fn origin(source: &Source) -> String {
    match source {
        Source::Deployment(parameter) => format!("parameter {parameter}"),
        Source::Node(fact) => format!("fact {fact}"),
        Source::Site(path) => format!("site {path}"),
        Source::Secret(name) => format!("site secret {name}"),
        Source::Group { group, .. } => format!("group {group}"),
        Source::Role { role, output, .. } => format!("output {output} of role {role}"),
        Source::Expr(expression) => format!("expression {expression}"),
    }
}
