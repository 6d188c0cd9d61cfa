//! `rebar profile`: named bundles of parameter values. A profile is there as soon as somebody sets a parameter of it, or takes it.

use std::collections::BTreeMap;

use rebar_model::ParameterScope;

use crate::{
    app::App,
    args::Arrange,
    exit::Exit,
    failure::Failure,
    screen::{self, parameter::Profile},
};

/// What to do with profiles.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// List profiles, what they set and who takes them
    Ls(Arrange),
}

/// Lists profiles.
pub async fn run(app: &App, verb: Verb) -> Result<Exit, Failure> {
    let Verb::Ls(arrange) = verb;
    let client = app.client().await?;
    let mut profiles: BTreeMap<String, Profile> = BTreeMap::new();
    let mut profile = |name: &str, change: &dyn Fn(&mut Profile)| {
        let empty =
            || Profile { name: name.to_owned(), parameters: Vec::new(), nodes: Vec::new(), deployments: Vec::new() };
        change(profiles.entry(name.to_owned()).or_insert_with(empty));
    };
    for parameter in client.parameters(None).await? {
        if let ParameterScope::Profile(name) = &parameter.scope {
            profile(name.as_str(), &|it| it.parameters.push(parameter.name.to_string()));
        }
    }
    for view in client.nodes(None).await? {
        for name in &view.node.profiles {
            profile(name.as_str(), &|it| it.nodes.push(view.node.name.to_string()));
        }
    }
    for summary in client.deployments().await? {
        for name in &client.deployment(&summary.name).await?.spec.profiles {
            profile(name.as_str(), &|it| it.deployments.push(summary.name.to_string()));
        }
    }
    let profiles: Vec<Profile> = profiles.into_values().collect();
    app.output.table(&profiles, |it| it.name.clone(), &arrange, |look| screen::parameter::profiles(&profiles, look))?;
    Ok(Exit::Done)
}
