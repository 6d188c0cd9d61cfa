//! What a site gives to workloads that say nothing of it but a name: values of the global level, by the path into them, and secrets
//! of it. The levels above are `parameter.rs`.

use rebar_model::{Ident, Layer, Parameter, ParameterScope, SecretRef, Source, World};
use serde_json::Value;

/// A place of the site that a source names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// A parameter of the global level, and the way into it: `dns.domain`.
    Path(&'a str),
    /// A parameter of the global level that was set as a secret.
    Secret(&'a Ident),
}

impl<'a> Place<'a> {
    /// The place that a source names; none if it is not one of the site.
    pub fn of(source: &'a Source) -> Option<Self> {
        match source {
            Source::Site(path) => Some(Self::Path(path)),
            Source::Secret(name) => Some(Self::Secret(name)),
            _ => None,
        }
    }

    /// The value there, if there is one.
    pub fn value(self, world: &World) -> Option<Value> {
        self.find(world).map(|(value, _)| value.clone())
    }

    /// The place as a level of a parameter: with its value, and with who set it.
    pub fn layer(self, world: &World) -> Layer {
        let found = self.find(world);
        Layer {
            level: self.origin(),
            value: found.map(|(value, _)| value.clone()),
            by: found.map(|(_, set)| set.by.clone()),
            at: found.map(|(_, set)| set.at),
            wins: false,
        }
    }

    /// What the place is called.
    pub fn origin(self) -> String {
        match self {
            Self::Path(path) => format!("site {path}"),
            Self::Secret(name) => format!("site secret {name}"),
        }
    }

    /// That there is nothing, and what to do.
    pub fn missing(self, world: &World) -> String {
        match self {
            Self::Secret(name) => {
                let what = match set(world, name) {
                    Some(_) => format!("`{name}` of the site was not set as a secret"),
                    None => format!("the site has no secret `{name}`"),
                };
                format!("{what}; use `rebar attr set {name} - --global --secret`")
            }
            Self::Path(path) => match path.split_once('.') {
                None => format!("the site has no `{path}`; use `rebar attr set {path} VALUE --global`"),
                Some((name, rest)) => format!(
                    "the site has no `{path}`; use `rebar attr set {name} VALUE --global` with a `{rest}` in the value"
                ),
            },
        }
    }

    /// The value there, and the parameter that holds it.
    fn find(self, world: &World) -> Option<(&Value, &Parameter)> {
        match self {
            Self::Path(path) => {
                let mut parts = path.split('.');
                let set = set(world, &Ident::new(parts.next()?).ok()?)?;
                // A secret has no inside: what stands in its place is a reference.
                let inside = |value: &'_ Value| SecretRef::from_value(value).is_none();
                let value =
                    parts.try_fold(&set.value, |value, part| inside(value).then(|| value.get(part)).flatten())?;
                Some((value, set))
            }
            Self::Secret(name) => {
                let set = set(world, name)?;
                SecretRef::from_value(&set.value).map(|_| (&set.value, set))
            }
        }
    }
}

fn set<'a>(world: &'a World, name: &Ident) -> Option<&'a Parameter> {
    world.parameter(&ParameterScope::Global, name)
}
