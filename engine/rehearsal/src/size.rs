//! How many nodes each group gets: what the deployment has, or a topology, or the least; then what a person says; then the total
//! spread over the groups that may grow.

use std::collections::{BTreeMap, BTreeSet};

use rebar_model::{GroupName, GroupSpec, Workload};

use crate::{RehearsalError, limits::MAX_NODES};

/// How large a rehearsal is to be.
#[derive(Debug, Clone, Default)]
pub struct Size {
    /// How many nodes the groups have already; empty for a workload that no deployment is at hand of.
    pub members: BTreeMap<GroupName, usize>,
    /// A named shape of the workload.
    pub topology: Option<String>,
    /// What a person says about groups.
    pub groups: BTreeMap<GroupName, usize>,
    /// How many nodes there are in all.
    pub nodes: Option<usize>,
}

/// How many nodes each group gets.
pub fn sizes(workload: &Workload, size: &Size) -> Result<BTreeMap<GroupName, usize>, RehearsalError> {
    let known = &workload.spec.groups;
    for group in size.groups.keys() {
        if !known.contains_key(group) {
            let known = known.keys().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
            return Err(RehearsalError::NoGroup { group: group.clone(), known });
        }
    }
    let mut sizes = base(workload, size)?;
    sizes.extend(size.groups.iter().map(|(group, count)| (group.clone(), *count)));
    if let Some(total) = size.nodes {
        let fixed: BTreeSet<&GroupName> = size.groups.keys().collect();
        spread(known, &fixed, total, &mut sizes)?;
    }
    match sizes.values().sum::<usize>() {
        0 => Err(RehearsalError::Size("a rehearsal needs at least one node; say --nodes or --group".to_owned())),
        it if it > MAX_NODES => {
            Err(RehearsalError::Size(format!("{it} nodes are more than the {MAX_NODES} of a rehearsal")))
        }
        _ => Ok(sizes),
    }
}

fn base(workload: &Workload, size: &Size) -> Result<BTreeMap<GroupName, usize>, RehearsalError> {
    let known = &workload.spec.groups;
    if let Some(name) = &size.topology {
        let Some(topology) = workload.spec.topologies.get(name) else {
            let known: Vec<&str> = workload.spec.topologies.keys().map(String::as_str).collect();
            let hint = if known.is_empty() { String::new() } else { format!("; it has {}", known.join(", ")) };
            return Err(RehearsalError::Size(format!("{} has no topology `{name}`{hint}", workload.reference())));
        };
        let count = |group: &GroupName| topology.groups.get(group).map_or(0, |it| *it as usize);
        return Ok(known.keys().map(|group| (group.clone(), count(group))).collect());
    }
    if !size.members.is_empty() {
        return Ok(size.members.clone());
    }
    // A workload of which nothing is known but its limits: the least that works, and a node in its only group.
    let least = |it: &GroupSpec| it.min.unwrap_or(u32::from(known.len() == 1)) as usize;
    Ok(known.iter().map(|(group, it)| (group.clone(), least(it))).collect())
}

/// Brings the groups to a total: those that a person named stay, the others grow or shrink as far as they may.
fn spread(
    known: &BTreeMap<GroupName, GroupSpec>,
    fixed: &BTreeSet<&GroupName>,
    total: usize,
    sizes: &mut BTreeMap<GroupName, usize>,
) -> Result<(), RehearsalError> {
    let given: usize = sizes.values().sum();
    let free: Vec<&GroupName> = known.keys().filter(|it| !fixed.contains(it)).collect();
    if total < given {
        shrink(known, &free, given - total, total, sizes)
    } else {
        grow(known, &free, total - given, total, sizes)
    }
}

/// The groups without a most share what is to come; where all have one, they are filled in their order.
fn grow(
    known: &BTreeMap<GroupName, GroupSpec>,
    free: &[&GroupName],
    mut more: usize,
    total: usize,
    sizes: &mut BTreeMap<GroupName, usize>,
) -> Result<(), RehearsalError> {
    let open: Vec<&&GroupName> = free.iter().filter(|it| known[**it].max.is_none()).collect();
    let sharing = open.len();
    for (place, group) in open.into_iter().enumerate() {
        let share = more / sharing + usize::from(place < more % sharing);
        *sizes.entry((*group).clone()).or_default() += share;
    }
    if sharing > 0 {
        return Ok(());
    }
    for group in free {
        let size = sizes.entry((*group).clone()).or_default();
        let most = known[*group].max.map_or(usize::MAX, |it| it as usize);
        let mut room = most.saturating_sub(*size).min(more);
        if known[*group].odd && (*size + room).is_multiple_of(2) {
            room = room.saturating_sub(1);
        }
        *size += room;
        more -= room;
    }
    if more == 0 { Ok(()) } else { Err(cannot(total, &format!("{more} of them have no place"), sizes)) }
}

/// The largest groups give up what they do not need.
fn shrink(
    known: &BTreeMap<GroupName, GroupSpec>,
    free: &[&GroupName],
    mut less: usize,
    total: usize,
    sizes: &mut BTreeMap<GroupName, usize>,
) -> Result<(), RehearsalError> {
    let mut order: Vec<&GroupName> = free.to_vec();
    order.sort_by_key(|it| (known[*it].odd, std::cmp::Reverse(sizes.get(*it).copied().unwrap_or(0))));
    for group in order {
        let Some(size) = sizes.get_mut(group) else { continue };
        let least = known[group].min.unwrap_or(0) as usize;
        let given = size.saturating_sub(least).min(less);
        *size -= given;
        less -= given;
    }
    if less == 0 { Ok(()) } else { Err(cannot(total, &format!("the groups need {less} more"), sizes)) }
}

fn cannot(total: usize, why: &str, sizes: &BTreeMap<GroupName, usize>) -> RehearsalError {
    let have = sizes.iter().map(|(group, size)| format!("{group}={size}")).collect::<Vec<_>>().join(", ");
    RehearsalError::Size(format!("{total} nodes cannot be spread over the groups: {why} ({have}); say it with --group"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(groups: serde_json::Value) -> Workload {
        serde_json::from_value(json!({
            "digest": "0".repeat(64), "roles": {},
            "metadata": {"name": "w", "version": "1.0.0", "summary": "x", "license": "Apache-2.0"},
            "spec": {"groups": groups, "topologies": {"ha": {"summary": "x", "groups": {"manager": 3, "worker": 3}}}},
        }))
        .unwrap()
    }

    fn swarm() -> Workload {
        workload(
            json!({"manager": {"summary": "x", "min": 1, "max": 7, "odd": true}, "worker": {"summary": "x", "min": 0}}),
        )
    }

    fn of(workload: &Workload, size: &Size) -> String {
        match sizes(workload, size) {
            Ok(sizes) => sizes.iter().map(|(group, size)| format!("{group}={size}")).collect::<Vec<_>>().join(" "),
            Err(error) => format!("{} {error}", error.code()),
        }
    }

    fn groups(groups: &[(&str, usize)]) -> BTreeMap<GroupName, usize> {
        groups.iter().map(|(group, size)| (group.parse().unwrap(), *size)).collect()
    }

    #[test]
    fn nodes_go_where_they_may() {
        let nodes = |it| Size { nodes: Some(it), ..Size::default() };
        assert_eq!(of(&swarm(), &Size::default()), "manager=1 worker=0");
        assert_eq!(of(&swarm(), &nodes(1_000)), "manager=1 worker=999");
        assert_eq!(of(&swarm(), &Size { groups: groups(&[("manager", 5)]), ..nodes(200) }), "manager=5 worker=195");
        assert_eq!(of(&swarm(), &Size { topology: Some("ha".to_owned()), ..Size::default() }), "manager=3 worker=3");
        let members = groups(&[("manager", 3), ("worker", 20)]);
        assert_eq!(of(&swarm(), &Size { members: members.clone(), ..nodes(500) }), "manager=3 worker=497");
        assert_eq!(of(&swarm(), &Size { members, ..nodes(10) }), "manager=3 worker=7");
        let closed = workload(json!({"a": {"summary": "x", "max": 4}, "b": {"summary": "x", "max": 4}}));
        assert_eq!(of(&closed, &nodes(6)), "a=4 b=2");
        assert_eq!(of(&workload(json!({"all": {"summary": "x"}})), &Size::default()), "all=1");
    }

    #[test]
    fn what_does_not_come_out_is_refused() {
        let closed = workload(json!({"a": {"summary": "x", "min": 3, "max": 4}}));
        let nodes = |it| Size { nodes: Some(it), ..Size::default() };
        for (workload, size, hint) in [
            (&swarm(), nodes(0), "the groups need 1 more"),
            (&closed, nodes(9), "5 of them have no place"),
            (&closed, nodes(1), "the groups need 2 more"),
            (&swarm(), nodes(30_000), "more than the 20000"),
            (
                &swarm(),
                Size { groups: groups(&[("workers", 5)]), ..Size::default() },
                "no group `workers`; it has `manager`, `worker`",
            ),
            (&swarm(), Size { groups: groups(&[("manager", 0)]), ..Size::default() }, "at least one node"),
            (&swarm(), Size { topology: Some("huge".to_owned()), ..Size::default() }, "no topology `huge`; it has ha"),
        ] {
            let text = of(workload, &size);
            assert!(text.starts_with("RB7002") && text.contains(hint), "{text}");
        }
    }
}
