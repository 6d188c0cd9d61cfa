//! Parameters that people set, and the profiles that bundle them.

use jiff::Timestamp;
use rebar_api::types::ParameterView;
use serde::Serialize;

use super::{Look, Table, ordered, words};

/// A profile: a name with parameters, and those who take it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The parameters that it sets.
    pub parameters: Vec<String>,
    /// The nodes that take it.
    pub nodes: Vec<String>,
    /// The deployments that take it.
    pub deployments: Vec<String>,
}

/// Draws parameters.
pub fn list(parameters: &[ParameterView], now: Timestamp, look: &Look) -> Table {
    let mut table = Table::new(look, &["LEVEL", "NAME", "VALUE", "BY", "WHEN"]).or("nobody has set a parameter here\n");
    for it in parameters {
        let value = if it.secret && words::mask(&it.value).is_none() {
            "(secret)".to_owned()
        } else {
            words::value(&it.value, look)
        };
        table.row(vec![
            (&it.scope).into(),
            (&it.name).into(),
            value.into(),
            (&it.by).into(),
            ordered(words::seconds(it.at, now), words::ago(it.at, now)),
        ]);
    }
    table
}

/// Draws profiles.
pub fn profiles(profiles: &[Profile], look: &Look) -> Table {
    let mut table = Table::new(look, &["PROFILE", "PARAMETERS", "NODES", "DEPLOYMENTS"])
        .or("no profiles: rebar attr set NAME VALUE --profile PROFILE makes one\n");
    for it in profiles {
        table.row(vec![
            (&it.name).into(),
            it.parameters.join(",").into(),
            words::ranges(it.nodes.iter().map(String::as_str)).into(),
            it.deployments.join(",").into(),
        ]);
    }
    table
}
