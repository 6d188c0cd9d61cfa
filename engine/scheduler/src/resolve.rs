//! Resolves the inputs of a node-role when it is about to run, and the key that says whether it has to. What inputs are bound to
//! was decided when planning.

use std::collections::BTreeMap;

use rebar_model::{
    Binding, Bound, Digest, Ident, NodeRoleId, NodeRoleSpec, OnChange, ResolvedInput, State, Take, World,
};
use serde_json::{Map, Value};

/// Changes when agents carry the same role content out differently, so that it is run again.
const RUNNER_VERSION: u32 = 1;

/// The inputs of a node-role now, and what follows from them.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub inputs: BTreeMap<Ident, ResolvedInput>,
    pub key: Digest,
    pub replace_key: Digest,
}

/// An input that has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unresolved {
    pub input: Ident,
    pub detail: String,
}

/// The inputs of a node-role now.
pub(crate) fn resolve(world: &World, spec: &NodeRoleSpec) -> Result<Resolved, Unresolved> {
    let mut inputs = BTreeMap::new();
    let (mut keyed, mut replacing) = (BTreeMap::new(), BTreeMap::new());
    for (name, binding) in &spec.bindings {
        let resolved = value(world, spec, binding).map_err(|detail| Unresolved { input: name.clone(), detail })?;
        let identity = identity(binding, &resolved.value);
        match binding.on_change {
            OnChange::Ignore => {}
            OnChange::Apply => drop(keyed.insert(name.clone(), identity)),
            OnChange::Redeploy => {
                keyed.insert(name.clone(), identity.clone());
                replacing.insert(name.clone(), identity);
            }
        }
        inputs.insert(name.clone(), resolved);
    }
    let key = Digest::of_json(&(RUNNER_VERSION, &spec.content, &keyed));
    let replace_key = Digest::of_json(&replacing);
    Ok(Resolved { inputs, key, replace_key })
}

/// The hash of the inputs whose change asks for a redeploy, as they would be resolved now.
pub(crate) fn replace_key(world: &World, spec: &NodeRoleSpec) -> Result<Digest, String> {
    let redeploying = spec.bindings.iter().filter(|(_, it)| it.on_change == OnChange::Redeploy);
    let replacing: Result<BTreeMap<_, _>, String> =
        redeploying.map(|(name, binding)| Ok((name, identity(binding, &value(world, spec, binding)?.value)))).collect();
    Ok(Digest::of_json(&replacing?))
}

/// What of an input decides whether the role has to run again. Of `any` and `quorum` it is who may produce, not who was first:
/// otherwise every late producer would ask for another run.
fn identity(binding: &Binding, value: &Value) -> Value {
    match &binding.bound {
        Bound::Outputs { take: Take::Any | Take::Quorum, producers, .. } => {
            Value::Array(producers.iter().map(|id| Value::String(id.to_string())).collect())
        }
        _ => value.clone(),
    }
}

fn value(world: &World, spec: &NodeRoleSpec, binding: &Binding) -> Result<ResolvedInput, String> {
    match &binding.bound {
        Bound::Value { value, .. } => Ok(ResolvedInput { value: value.clone(), from: Vec::new() }),
        Bound::Outputs { output, take, producers, .. } => collect(world, spec, output, *take, producers),
    }
}

fn collect(
    world: &World,
    spec: &NodeRoleSpec,
    output: &Ident,
    take: Take,
    producers: &[NodeRoleId],
) -> Result<ResolvedInput, String> {
    let mut found = Vec::new();
    for id in producers {
        match produced(world, id, output) {
            Some(value) => found.push((id, value)),
            None if matches!(take, Take::Any | Take::Quorum) => {}
            None => return Err(format!("{id} has no output `{output}` yet")),
        }
    }
    let from = |found: &[(&NodeRoleId, Value)]| found.iter().map(|(id, _)| (*id).clone()).collect();
    match take {
        Take::Same | Take::Leader | Take::One | Take::Any => match found.into_iter().next() {
            Some((id, value)) => Ok(ResolvedInput { value, from: vec![id.clone()] }),
            None => Err(format!("no instance has an output `{output}` for {}", spec.id)),
        },
        Take::All | Take::Quorum => {
            let from = from(&found);
            Ok(ResolvedInput { value: Value::Array(found.into_iter().map(|(_, it)| it).collect()), from })
        }
        Take::ByNode => {
            let from = from(&found);
            let by_node: Map<String, Value> =
                found.into_iter().filter_map(|(id, value)| id.node().map(|node| (node.to_string(), value))).collect();
            Ok(ResolvedInput { value: Value::Object(by_node), from })
        }
    }
}

/// An output of a node-role that is, or was, active.
fn produced(world: &World, id: &NodeRoleId, output: &Ident) -> Option<Value> {
    let node_role = world.node_role(id)?;
    if matches!(node_role.status.state, State::Removed) {
        return None;
    }
    node_role.status.last.as_ref()?.outputs.get(output).cloned()
}
