//! Says where the value of an input comes from, through every hop: the levels that could set it, or the node-role that produced it
//! and the inputs of that.

use std::cell::Cell;

use rebar_model::{Binding, Bound, Ident, Layer, NodeRoleId, Source, World};
use serde::Serialize;
use serde_json::{Value, json};

use crate::plan::{
    aim::Aim,
    parameter::{crown, layers},
    site::Place,
};

/// How far a value is followed through roles that pass it on.
const MAX_HOPS: u32 = 16;
/// How many producers are named before no more of their inputs are followed: where many take from many there are ways without end.
const MAX_PRODUCERS: usize = 10_000;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Of which node-role.
    pub id: NodeRoleId,
    /// Which input.
    pub input: Ident,
    /// The value, where it is known and no secret; a secret as its fingerprint.
    pub value: Option<Value>,
    /// Where it was decided, in words.
    pub origin: String,
    /// The levels that could set it, where it is a parameter.
    pub layers: Vec<Layer>,
    /// The producers, where it is an output: each with the inputs that it was made from.
    pub producers: Vec<Producer>,
}

/// A node-role that produced a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Producer {
    /// Which one.
    pub id: NodeRoleId,
    /// Which output.
    pub output: Ident,
    /// The value, as above.
    pub value: Option<Value>,
    /// The number of the attempt that gave it.
    pub attempt: Option<rebar_model::AttemptId>,
    /// Its inputs, one hop further.
    pub inputs: Vec<Explanation>,
}

/// Where the value of an input comes from; none if there is no such input.
pub fn why(world: &World, id: &NodeRoleId, input: &Ident) -> Option<Explanation> {
    Way { world, left: Cell::new(MAX_PRODUCERS) }.explain(id, input, 0)
}

/// The way from a value to where it comes from.
struct Way<'a> {
    world: &'a World,
    /// How many producers may still be named.
    left: Cell<usize>,
}

impl Way<'_> {
    fn explain(&self, id: &NodeRoleId, input: &Ident, hops: u32) -> Option<Explanation> {
        let world = self.world;
        let node_role = world.node_role(id)?;
        let binding = node_role.spec.bindings.get(input)?;
        let mut explanation = Explanation {
            id: id.clone(),
            input: input.clone(),
            value: None,
            origin: String::new(),
            layers: levels(world, id, input),
            producers: Vec::new(),
        };
        for layer in &mut explanation.layers {
            layer.value = layer.value.take().map(|it| masked(binding, &it));
        }
        match &binding.bound {
            Bound::Value { value, origin } => {
                explanation.value = Some(masked(binding, value));
                explanation.origin.clone_from(origin);
            }
            Bound::Outputs { role, output, producers, .. } => {
                explanation.origin = format!("output {output} of role {role}");
                self.left.set(self.left.get().saturating_sub(producers.len()));
                explanation.producers = producers.iter().map(|it| self.producer(it, output, binding, hops)).collect();
                explanation.value = explanation.producers.first().and_then(|it| it.value.clone());
            }
        }
        Some(explanation)
    }

    fn producer(&self, id: &NodeRoleId, output: &Ident, binding: &Binding, hops: u32) -> Producer {
        let node_role = self.world.node_role(id);
        let last = node_role.and_then(|it| it.status.last.as_ref());
        let inputs = match node_role {
            Some(it) if hops < MAX_HOPS && self.left.get() > 0 => {
                it.spec.bindings.keys().filter_map(|input| self.explain(id, input, hops + 1)).collect()
            }
            _ => Vec::new(),
        };
        Producer {
            id: id.clone(),
            output: output.clone(),
            value: last.and_then(|it| it.outputs.get(output)).map(|it| masked(binding, it)),
            attempt: last.map(|it| it.attempt),
            inputs,
        }
    }
}

fn masked(binding: &Binding, value: &Value) -> Value {
    match (binding.secret, rebar_model::SecretRef::from_value(value)) {
        (false, _) => value.clone(),
        (true, Some(reference)) => json!({"secret": true, "fingerprint": reference.0.get(..8)}),
        (true, None) => json!({"secret": true}),
    }
}

/// The levels of the parameter behind an input, if there is one; of an input that the site gives, that and its default.
fn levels(world: &World, id: &NodeRoleId, input: &Ident) -> Vec<Layer> {
    let found = || {
        let deployment = world.deployments().get(&id.deployment)?;
        let spec = &world.node_role(id)?.spec;
        let workload = world.workloads().get(&spec.workload)?;
        let role = workload.roles.get(&id.role)?;
        let input = role.manifest.spec.inputs.get(input)?;
        let source = input.from.as_ref()?;
        if let Source::Deployment(parameter) = source {
            let node = id.node().and_then(|it| world.nodes().get(it));
            return Some(layers(world, &Aim::now(deployment), workload, node, parameter));
        }
        let (level, value) = ("role default".to_owned(), input.default.clone());
        let default = Layer { level, value, by: None, at: None, wins: false };
        let mut levels = vec![default, Place::of(source)?.layer(world)];
        crown(&mut levels);
        Some(levels)
    };
    found().unwrap_or_default()
}
