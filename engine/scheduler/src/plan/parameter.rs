//! Parameter values: node over deployment over profile over global over the site over the workload's default, with every level
//! that had a say.

use rebar_model::{
    Deployment, Ident, Layer, Node, ParameterScope, ParameterSpec, ProfileName, SecretRef, Workload, World,
};
use serde_json::{Map, Value};

use super::{PlanError, aim::Aim, site::Place};

/// A parameter's value and the level that decided it.
pub(super) struct Decided {
    pub value: Value,
    pub origin: String,
}

/// Every level that can set a parameter, the strongest last, with its value where it sets one.
pub(crate) fn layers(
    world: &World,
    aim: &Aim<'_>,
    workload: &Workload,
    node: Option<&Node>,
    name: &Ident,
) -> Vec<Layer> {
    let default = workload.spec.inputs.get(name).and_then(|it| it.default.clone());
    let level = format!("workload default {}", workload.reference());
    let mut layers = vec![Layer { level, value: default, by: None, at: None, wins: false }];
    layers.extend(place(workload, name).map(|it| it.layer(world)));
    let mut scopes = vec![ParameterScope::Global];
    scopes.extend(profiles(&aim.deployment, node).cloned().map(ParameterScope::Profile));
    scopes.push(aim.scope());
    scopes.extend(node.map(|it| ParameterScope::Node(it.name.clone())));
    layers.extend(scopes.iter().map(|it| aim.layer(world, it, name)));
    crown(&mut layers);
    layers
}

/// Marks the level that decides: the strongest that has a value.
pub(crate) fn crown(layers: &mut [Layer]) {
    if let Some(winner) = layers.iter_mut().rev().find(|it| it.value.is_some()) {
        winner.wins = true;
    }
}

/// Where the site has the value of a parameter, if its workload says so.
fn place<'a>(workload: &'a Workload, name: &Ident) -> Option<Place<'a>> {
    Place::of(workload.spec.inputs.get(name)?.from.as_ref()?)
}

/// That no level sets a parameter, and what to do.
pub(super) fn missing(world: &World, workload: &Workload, name: &Ident) -> String {
    match place(workload, name) {
        Some(place) => format!("no level sets the parameter `{name}`, and {}", place.missing(world)),
        None => format!("no level sets the parameter `{name}`; use `rebar attr set {name} VALUE`"),
    }
}

/// The profiles that have a say: of the deployment, then of the node.
fn profiles<'a>(deployment: &'a Deployment, node: Option<&'a Node>) -> impl Iterator<Item = &'a ProfileName> {
    deployment.spec.profiles.iter().chain(node.into_iter().flat_map(|it| &it.profiles))
}

/// The value of a parameter for a deployment as a whole, if any level sets one. Where profiles disagree the last one counts: plans
/// are refused then, but what was accepted before goes on.
pub fn parameter_value(world: &World, deployment: &Deployment, workload: &Workload, name: &Ident) -> Option<Value> {
    layers(world, &Aim::now(deployment), workload, None, name).into_iter().find(|it| it.wins)?.value
}

/// The value of a parameter, if any level sets one.
pub(super) fn decide(
    world: &World,
    aim: &Aim<'_>,
    workload: &Workload,
    node: Option<&Node>,
    name: &Ident,
) -> Result<Option<Decided>, PlanError> {
    let layers = layers(world, aim, workload, node, name);
    let Some(winner) = layers.iter().find(|it| it.wins) else { return Ok(None) };
    // Profiles stand side by side: which one is stronger would be an accident of order.
    if winner.level.starts_with("profile/") {
        let rivals: Vec<_> = layers
            .iter()
            .filter(|it| it.level.starts_with("profile/") && it.value.is_some() && it.value != winner.value)
            .collect();
        if !rivals.is_empty() {
            let levels: Vec<_> = rivals.iter().map(|it| it.level.as_str()).chain([winner.level.as_str()]).collect();
            return Err(PlanError::AmbiguousParameter { parameter: name.clone(), levels: levels.join(" and ") });
        }
    }
    Ok(winner.value.clone().map(|value| Decided { value, origin: winner.level.clone() }))
}

/// All parameters that have a value, as expressions see them; secrets are left out.
pub(super) fn all(world: &World, aim: &Aim<'_>, workload: &Workload, node: Option<&Node>) -> Value {
    let mut all = Map::new();
    for (name, _) in workload.spec.inputs.iter().filter(|(_, it)| !it.is_secret()) {
        // An ambiguous one is reported where it is used.
        let value = decide(world, aim, workload, node, name).ok().flatten().map(|it| it.value);
        if let Some(value) = value {
            all.insert(name.to_string(), value);
        }
    }
    Value::Object(all)
}

/// Reports parameters that the workload does not have, and values that break their schema.
pub(super) fn check(world: &World, aim: &Aim<'_>, workload: &Workload, errors: &mut Vec<PlanError>) {
    for name in aim.wishes(world).parameters.keys() {
        if !workload.spec.inputs.contains_key(name) {
            let known = workload.spec.inputs.keys().map(Ident::as_str).collect::<Vec<_>>().join(", ");
            let hint = format!("; it has {known}");
            errors.push(PlanError::UnknownParameter { parameter: name.clone(), hint });
        }
    }
    let nodes = aim.deployment.spec.groups.values().flatten().filter_map(|it| world.nodes().get(it));
    for node in std::iter::once(None).chain(nodes.map(Some)) {
        for (name, spec) in &workload.spec.inputs {
            match decide(world, aim, workload, node, name) {
                Err(error) => errors.push(error),
                Ok(Some(decided)) => check_value(name, spec, &decided, errors),
                Ok(None) => {}
            }
        }
    }
}

fn check_value(name: &Ident, spec: &ParameterSpec, decided: &Decided, errors: &mut Vec<PlanError>) {
    if SecretRef::from_value(&decided.value).is_some() {
        return;
    }
    let place = format!("parameter `{name}` ({})", decided.origin);
    if let Some(detail) = mismatch(&spec.schema, &decided.value) {
        errors.push(PlanError::WrongType { place, detail });
    }
}

/// What is wrong with a value under a schema.
pub(super) fn mismatch(schema: &Value, value: &Value) -> Option<String> {
    // The commonest schema is a bare type of a string; compiling a validator for it would dominate large plans.
    if schema == &serde_json::json!({"type": "string"}) {
        return (!value.is_string()).then(|| format!("{value} is not of type \"string\""));
    }
    match jsonschema::validator_for(schema) {
        Err(error) => Some(format!("the schema is wrong: {error}")),
        Ok(validator) => {
            let errors: Vec<_> = validator.iter_errors(value).map(|it| it.to_string()).collect();
            (!errors.is_empty()).then(|| errors.join("; "))
        }
    }
}
