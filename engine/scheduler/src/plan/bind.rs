//! Binds the inputs of an instance to their sources. Nothing is chosen by accident of order: several candidates where one is meant
//! is a mistake that lists them.

use std::{collections::BTreeMap, sync::Arc};

use rebar_model::{
    Binding, Bound, GroupField, Ident, InputSpec, Node, NodeRoleId, OnChange, ParameterSpec, RoleName, Scope,
    SecretRef, Source, Take, World,
};
use serde_json::{Value, json};

use super::{
    PlanError,
    land::{Instance, Landscape},
    parameter::{self, mismatch},
    platform,
    site::Place,
};
use crate::expr::evaluate;

/// Binds every input of an instance.
pub(super) fn bind(
    world: &World,
    landscape: &Landscape<'_>,
    instance: &Instance<'_>,
    errors: &mut Vec<PlanError>,
) -> BTreeMap<Ident, Arc<Binding>> {
    let mut bindings = BTreeMap::new();
    for (name, input) in &instance.role.manifest.spec.inputs {
        match find(world, landscape, instance, name, input) {
            Err(error) => errors.push(error),
            Ok(None) => {}
            Ok(Some(bound)) => {
                check(instance, name, input, &bound, errors);
                let (secret, on_change) = nature(landscape, input, &bound);
                bindings.insert(name.clone(), Arc::new(Binding { bound, secret, on_change }));
            }
        }
    }
    bindings
}

fn find(
    world: &World,
    landscape: &Landscape<'_>,
    instance: &Instance<'_>,
    name: &Ident,
    input: &InputSpec,
) -> Result<Option<Bound>, PlanError> {
    let fallback = || input.default.clone().map(|value| Bound::Value { value, origin: "role default".to_owned() });
    let missing = |detail: String| PlanError::Missing { id: instance.id.clone(), input: name.clone(), detail };
    let or_missing =
        |bound: Option<Bound>, detail: String| bound.or_else(fallback).map(Some).ok_or_else(|| missing(detail));
    match &input.from {
        None => or_missing(None, "it has neither `from` nor a default in role.yaml".to_owned()),
        Some(Source::Deployment(name)) => {
            let decided = parameter::decide(world, landscape.aim, landscape.workload, instance.node, name)?;
            let bound = decided.map(|it| Bound::Value { value: it.value, origin: it.origin });
            or_missing(bound, parameter::missing(world, landscape.workload, name))
        }
        Some(Source::Node(path)) => {
            let Some(node) = instance.node else {
                return Err(missing(format!("the role runs on no node, so there is no fact `{path}`")));
            };
            let origin = format!("fact {path} of {}", node.name);
            let bound = node.fact(path).map(|value| Bound::Value { value, origin });
            or_missing(bound, format!("node `{}` has not reported `{path}`; is its agent here?", node.name))
        }
        Some(Source::Site(path)) => in_site(world, Place::Path(path), or_missing),
        Some(Source::Secret(name)) => in_site(world, Place::Secret(name), or_missing),
        Some(Source::Group { group, field }) => members(landscape, group, *field).map(Some).map_err(missing),
        Some(Source::Expr(expr)) => evaluate(expr, &landscape.variables(world, instance.node))
            .map(|value| Some(Bound::Value { value, origin: format!("expression {expr}") }))
            .map_err(missing),
        Some(Source::Role { role, output, take }) => {
            let what = format!("input `{name}`");
            let producers = producers(landscape, instance, role, *take, &what)?;
            if producers.is_empty() && !take.collects() {
                let hint = platform::left_out(landscape.workload, std::iter::once(role), instance.node);
                let place = self::place(*take, instance.node);
                return or_missing(None, format!("role `{role}` has no instance {place}{hint}"));
            }
            Ok(Some(Bound::Outputs { role: role.clone(), output: output.clone(), take: *take, producers }))
        }
    }
}

fn in_site(
    world: &World,
    place: Place<'_>,
    or_missing: impl FnOnce(Option<Bound>, String) -> Result<Option<Bound>, PlanError>,
) -> Result<Option<Bound>, PlanError> {
    let bound = place.value(world).map(|value| Bound::Value { value, origin: place.origin() });
    or_missing(bound, place.missing(world))
}

fn place(take: Take, node: Option<&Node>) -> String {
    match (take, node) {
        (Take::Same, Some(node)) => format!("on `{}`", node.name),
        _ => "in this deployment".to_owned(),
    }
}

fn members(landscape: &Landscape<'_>, group: &rebar_model::GroupName, field: GroupField) -> Result<Bound, String> {
    let nodes = landscape.group(group);
    let value = match field {
        GroupField::Names => json!(nodes.iter().map(|it| it.name.to_string()).collect::<Vec<_>>()),
        GroupField::Count => json!(nodes.len()),
        GroupField::Addresses => {
            let addresses: Result<Vec<_>, _> = nodes
                .iter()
                .map(|it| {
                    it.primary_address().ok_or_else(|| format!("node `{}` has not reported its address", it.name))
                })
                .collect();
            json!(addresses?)
        }
    };
    Ok(Bound::Value { value, origin: format!("group {group}") })
}

/// The instances of a role that an edge means, seen from an instance.
pub(super) fn producers(
    landscape: &Landscape<'_>,
    from: &Instance<'_>,
    role: &RoleName,
    take: Take,
    what: &str,
) -> Result<Vec<NodeRoleId>, PlanError> {
    let all = landscape.of_role(role);
    let ids = |instances: &[Instance<'_>]| instances.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
    let ambiguous = || PlanError::Ambiguous {
        id: from.id.clone(),
        what: what.to_owned(),
        candidates: all.iter().map(|it| it.id.local()).collect::<Vec<_>>().join(", "),
    };
    let scope = landscape.workload.roles.get(role).map(|it| it.manifest.spec.scope);
    match take {
        Take::All | Take::ByNode | Take::Any | Take::Quorum => Ok(ids(all)),
        Take::One if all.len() > 1 => Err(ambiguous()),
        Take::One => Ok(ids(all)),
        Take::Leader => {
            let leader = landscape.leaders.get(role);
            let elected = all.iter().find(|it| it.id.node() == leader);
            Ok(elected.map(|it| it.id.clone()).into_iter().collect())
        }
        Take::Same if scope == Some(Scope::Node) => {
            let Some(node) = from.id.node() else { return if all.len() > 1 { Err(ambiguous()) } else { Ok(ids(all)) } };
            Ok(landscape.on_node(role, node).map(|it| it.id.clone()).into_iter().collect())
        }
        // Of a role that there is once, `self` can only mean that one.
        Take::Same => Ok(ids(all)),
    }
}

fn check(instance: &Instance<'_>, name: &Ident, input: &InputSpec, bound: &Bound, errors: &mut Vec<PlanError>) {
    let Bound::Value { value, origin } = bound else { return };
    if SecretRef::from_value(value).is_some() {
        return;
    }
    if let Some(detail) = mismatch(&input.schema, value) {
        let place = format!("{}: input `{name}` ({origin})", instance.id);
        errors.push(PlanError::WrongType { place, detail });
    }
}

/// Whether a bound value is a secret, and what its change asks for.
fn nature(landscape: &Landscape<'_>, input: &InputSpec, bound: &Bound) -> (bool, OnChange) {
    let produced = match bound {
        Bound::Outputs { role, output, .. } => {
            let definition = landscape.workload.roles.get(role);
            definition.and_then(|it| it.manifest.spec.outputs.get(output)).is_some_and(|it| it.secret)
        }
        Bound::Value { value, .. } => SecretRef::from_value(value).is_some(),
    };
    let parameter = match &input.from {
        Some(Source::Deployment(name)) => landscape.workload.spec.inputs.get(name),
        _ => None,
    };
    let on_change = match (input.on_change, parameter.and_then(|it| it.on_change)) {
        (OnChange::Apply, Some(of_parameter)) => of_parameter,
        (of_input, _) => of_input,
    };
    (input.is_secret() || produced || parameter.is_some_and(ParameterSpec::is_secret), on_change)
}

/// The JSON of a value that people may see.
pub(super) fn shown(binding: &Binding) -> Option<Value> {
    match &binding.bound {
        Bound::Value { value, .. } if !binding.secret => Some(value.clone()),
        Bound::Value { value, .. } => SecretRef::from_value(value).map(|it| json!({"secret": it.0.get(..8)})),
        Bound::Outputs { .. } => None,
    }
}
