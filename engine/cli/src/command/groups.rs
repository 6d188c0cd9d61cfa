//! Groups of nodes as they are written: `manager=n1,n2`, `worker=@rack=b2` for all nodes with a label.

use std::{collections::BTreeMap, str::FromStr};

use rebar_model::{GroupName, Ident, NodeName, Workload};
use serde_json::Value;

use crate::{
    client::Client,
    failure::{Failure, Trouble},
    screen::words::{count, natural},
};

/// A group and its nodes as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The group.
    pub group: GroupName,
    /// Its nodes.
    pub members: Members,
}

/// Which nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// These.
    Named(Vec<NodeName>),
    /// Those with these labels.
    Labelled(String),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (group, nodes) = text.split_once('=').ok_or("write GROUP=NODE,NODE or GROUP=@LABEL=VALUE")?;
        let group = group.parse().map_err(|error: rebar_model::InvalidName| error.to_string())?;
        let members = match nodes.strip_prefix('@') {
            Some("") => return Err("write a label behind @, as in worker=@rack=b2".to_owned()),
            Some(labels) => Members::Labelled(labels.to_owned()),
            None => Members::Named(names(nodes)?),
        };
        Ok(Self { group, members })
    }
}

/// Names with commas between them; ranges as plans show them, `w-{1..3}`, are understood.
fn names(text: &str) -> Result<Vec<NodeName>, String> {
    let mut names = Vec::new();
    for part in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        for name in expand(part)? {
            names.push(name.parse().map_err(|error: rebar_model::InvalidName| error.to_string())?);
        }
    }
    Ok(names)
}

/// The names of a range.
fn expand(part: &str) -> Result<Vec<String>, String> {
    const MOST: u64 = 10_000;
    let range = part.strip_suffix('}').and_then(|it| it.split_once('{')).and_then(|(stem, range)| {
        let (first, last) = range.split_once("..")?;
        // As a shell does it: where the first has zeros before it, all have its length.
        let width = if first.starts_with('0') { first.len() } else { 0 };
        Some((stem, first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, width))
    });
    match range {
        None => Ok(vec![part.to_owned()]),
        Some((_, first, last, _)) if last < first || last - first >= MOST => {
            Err(format!("`{part}` is no range of names"))
        }
        Some((stem, first, last, width)) => Ok((first..=last).map(|it| format!("{stem}{it:0width$}")).collect()),
    }
}

/// The nodes of every group that was chosen; a group that is named twice has all of them.
pub async fn resolve(client: &Client, choices: &[Choice]) -> Result<BTreeMap<GroupName, Vec<NodeName>>, Failure> {
    let mut groups: BTreeMap<GroupName, Vec<NodeName>> = BTreeMap::new();
    for choice in choices {
        let members = match &choice.members {
            Members::Named(names) => names.clone(),
            Members::Labelled(labels) => labelled(client, labels).await?,
        };
        let group = groups.entry(choice.group.clone()).or_default();
        for node in members {
            if !group.contains(&node) {
                group.push(node);
            }
        }
    }
    Ok(groups)
}

/// The nodes with some labels, in the order in which people count.
async fn labelled(client: &Client, labels: &str) -> Result<Vec<NodeName>, Failure> {
    let mut names: Vec<NodeName> = client.nodes(Some(labels)).await?.into_iter().map(|it| it.node.name).collect();
    if names.is_empty() {
        return Err(Failure::new(Trouble::Nothing, format!("no node has the labels {labels}"))
            .fix("rebar node ls shows the labels of all nodes"));
    }
    names.sort_by(|left, right| natural(left.as_str(), right.as_str()));
    Ok(names)
}

/// The parameter values of a named shape, if the groups have its sizes.
pub fn shaped(
    workload: &Workload,
    name: &str,
    groups: &BTreeMap<GroupName, Vec<NodeName>>,
) -> Result<BTreeMap<Ident, Value>, Failure> {
    let Some(topology) = workload.spec.topologies.get(name) else {
        let known: Vec<&str> = workload.spec.topologies.keys().map(String::as_str).collect();
        let failure = Failure::new(Trouble::Argument, format!("{} has no topology `{name}`", workload.reference()));
        return Err(if known.is_empty() { failure } else { failure.fix(format!("it has {}", known.join(", "))) });
    };
    for (group, wanted) in &topology.groups {
        let have = groups.get(group).map_or(0, Vec::len);
        if u32::try_from(have) != Ok(*wanted) {
            let message = format!(
                "topology `{name}` has {} in group `{group}`, and {have} are given",
                count(*wanted as usize, "node")
            );
            return Err(Failure::new(Trouble::Argument, message)
                .fix(format!("say --group {group}=NODE,…, or leave --topology out")));
        }
    }
    Ok(topology.inputs.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_so_many_names() {
        assert_eq!(expand("w-{1..10000}").map(|it| it.len()), Ok(10_000));
        assert!(expand("w-{1..10001}").is_err_and(|it| it.contains("no range")));
    }

    #[test]
    fn groups_are_understood() {
        let named = |text: &str| match text.parse::<Choice>().unwrap().members {
            Members::Named(names) => names.iter().map(NodeName::as_str).collect::<Vec<_>>().join(" "),
            Members::Labelled(labels) => format!("@{labels}"),
        };
        assert_eq!(named("manager=n1,n2"), "n1 n2");
        assert_eq!(named("worker=w-{9..11},x"), "w-9 w-10 w-11 x");
        assert_eq!(named("worker=n{08..10}"), "n08 n09 n10");
        assert_eq!(named("worker=@rack=b2,tier!=db"), "@rack=b2,tier!=db");
        assert_eq!(named("worker="), "");
        for bad in ["manager", "Manager=n1", "manager=N1", "manager=@", "manager=w-{3..1}"] {
            assert!(bad.parse::<Choice>().is_err(), "{bad}");
        }
    }
}
