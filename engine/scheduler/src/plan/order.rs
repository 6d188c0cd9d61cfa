//! The order in which node-roles could run, on petgraph: a depth for each, or the way around a circle.

use std::collections::BTreeMap;

use petgraph::{
    Direction,
    algo::{tarjan_scc, toposort},
    graph::{DiGraph, NodeIndex},
};
use rebar_model::{NodeRoleId, NodeRoleSpec};

use super::PlanError;

/// The depth of every node-role: 0 for those that wait for nothing.
pub(super) fn order(specs: &BTreeMap<NodeRoleId, NodeRoleSpec>) -> Result<BTreeMap<NodeRoleId, u32>, PlanError> {
    let mut graph = DiGraph::<&NodeRoleId, ()>::with_capacity(specs.len(), specs.len() * 4);
    let places: BTreeMap<&NodeRoleId, NodeIndex> = specs.keys().map(|id| (id, graph.add_node(id))).collect();
    for (id, spec) in specs {
        for candidate in spec.requires.iter().flat_map(|it| &it.candidates) {
            if let (Some(from), Some(to)) = (places.get(candidate), places.get(id)) {
                graph.update_edge(*from, *to, ());
            }
        }
    }
    let sorted = toposort(&graph, None).map_err(|_| PlanError::Cycle { path: circle(&graph) })?;
    let mut depths = vec![0_u32; graph.node_count()];
    for place in sorted {
        let above = graph.neighbors_directed(place, Direction::Incoming).map(|it| depths[it.index()] + 1);
        depths[place.index()] = above.max().unwrap_or(0);
    }
    Ok(places.into_iter().map(|(id, place)| (id.clone(), depths[place.index()])).collect())
}

/// The way around one circle, beginning and ending at the same node-role.
fn circle(graph: &DiGraph<&NodeRoleId, ()>) -> Vec<String> {
    let looped = |place: &NodeIndex| graph.contains_edge(*place, *place);
    let mut components: Vec<Vec<NodeIndex>> =
        tarjan_scc(graph).into_iter().filter(|it| it.len() > 1 || it.iter().any(looped)).collect();
    for component in &mut components {
        component.sort_by_key(|place| graph[*place]);
    }
    let Some(component) = components.into_iter().min_by_key(|it| (it.len(), it.first().map(|place| graph[*place])))
    else {
        return Vec::new();
    };
    let Some(first) = component.first().copied() else { return Vec::new() };
    let mut path = vec![first];
    // Inside a strongly connected component every step can stay inside, until one comes back.
    loop {
        let here = path[path.len() - 1];
        let next = graph
            .neighbors_directed(here, Direction::Outgoing)
            .filter(|it| component.contains(it))
            .min_by_key(|it| graph[*it]);
        let Some(next) = next else { break };
        if let Some(start) = path.iter().position(|it| *it == next) {
            path.drain(..start);
            path.push(next);
            break;
        }
        path.push(next);
    }
    path.into_iter().map(|place| graph[place].local()).collect()
}
