//! What a plan is made towards: what people wish for now, or other wishes that somebody asks about, such as those of an earlier
//! revision.

use std::{borrow::Cow, collections::BTreeMap};

use rebar_model::{Deployment, Ident, Layer, ParameterScope, Wishes, World};
use serde_json::Value;

/// What a plan is made towards.
pub(crate) struct Aim<'a> {
    /// The deployment, as it would be wished for.
    pub deployment: Cow<'a, Deployment>,
    /// The parameters of its own level, where others are asked about than those that are set.
    parameters: Option<&'a BTreeMap<Ident, Value>>,
}

impl<'a> Aim<'a> {
    /// What people wish for now.
    pub fn now(deployment: &'a Deployment) -> Self {
        Self { deployment: Cow::Borrowed(deployment), parameters: None }
    }

    /// Other wishes.
    pub fn towards(deployment: &Deployment, wishes: &'a Wishes) -> Self {
        let deployment = Deployment { spec: wishes.spec.clone(), ..deployment.clone() };
        Self { deployment: Cow::Owned(deployment), parameters: Some(&wishes.parameters) }
    }

    /// All of the wishes.
    pub fn wishes(&self, world: &World) -> Wishes {
        let parameters = self.parameters.cloned().unwrap_or_else(|| set(world, &self.scope()));
        Wishes { spec: self.deployment.spec.clone(), parameters }
    }

    /// What a level says of a parameter.
    pub fn layer(&self, world: &World, scope: &ParameterScope, name: &Ident) -> Layer {
        let level = scope.to_string();
        if let Some(parameters) = self.parameters.filter(|_| *scope == self.scope()) {
            return Layer { level, value: parameters.get(name).cloned(), by: None, at: None, wins: false };
        }
        let set = world.parameter(scope, name);
        Layer {
            level,
            value: set.map(|it| it.value.clone()),
            by: set.map(|it| it.by.clone()),
            at: set.map(|it| it.at),
            wins: false,
        }
    }

    /// The level of the deployment itself.
    pub fn scope(&self) -> ParameterScope {
        ParameterScope::Deployment(self.deployment.name.clone())
    }
}

/// The parameters of a level.
fn set(world: &World, scope: &ParameterScope) -> BTreeMap<Ident, Value> {
    let set = world.parameters().get(scope).into_iter().flatten();
    set.map(|(name, it)| (name.clone(), it.value.clone())).collect()
}

/// What people wish for of a deployment now.
pub fn wishes(world: &World, deployment: &Deployment) -> Wishes {
    Aim::now(deployment).wishes(world)
}
