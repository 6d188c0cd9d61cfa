//! The order among roles: it has no cycles, whoever made the edges.

use std::collections::{BTreeMap, VecDeque, btree_map::Entry};

use petgraph::{algo::tarjan_scc, graph::DiGraph, visit::EdgeRef};
use rebar_model::Source;

use super::Context;
use crate::{Code, Diagnostic, Place};

/// Why one role waits for another.
#[derive(Debug, Clone)]
struct Wait {
    place: Place,
    why: String,
}

type Graph<'a> = DiGraph<&'a str, Wait>;

pub(super) fn check(context: &mut Context<'_>) {
    let graph = graph(context);
    for mut component in tarjan_scc(&graph) {
        component.sort_unstable_by_key(|it| graph[*it]);
        let Some(start) = component.first().copied() else { continue };
        if let Some(cycle) = shortest(&graph, start) {
            context.push(describe(&graph, start, &cycle));
        }
    }
}

/// Every edge: data, `requires`, `before`, `after`; from the role that waits to the one that it waits for.
fn graph<'a>(context: &Context<'a>) -> Graph<'a> {
    let mut graph = Graph::new();
    let nodes: BTreeMap<&str, _> = context.draft.typed().map(|(name, ..)| (name, graph.add_node(name))).collect();
    let mut edge = |from: &str, to: &str, place: Place, why: String| {
        if let (Some(from), Some(to)) = (nodes.get(from), nodes.get(to)) {
            graph.add_edge(*from, *to, Wait { place, why });
        }
    };
    for (name, document, manifest) in context.draft.typed() {
        for (port, input) in &manifest.spec.inputs {
            if let Some(Source::Role { role, output, .. }) = &input.from {
                let place = document.place(&["spec", "inputs", port.as_str(), "from", "role"]);
                edge(name, role.as_str(), place, format!("{name} takes `{output}` of {role}"));
            }
        }
        for (at, require) in manifest.spec.requires.iter().enumerate() {
            let at = at.to_string();
            if let Some(role) = &require.role {
                let place = document.place(&["spec", "requires", &at, "role"]);
                edge(name, role.as_str(), place, format!("{name} requires {role}"));
            }
            if let Some(capability) = &require.capability {
                let place = document.place(&["spec", "requires", &at, "capability"]);
                for (provider, _, it) in context.draft.typed() {
                    if provider != name && it.spec.provides.contains(capability) {
                        let why = format!("{name} requires `{capability}`, which {provider} provides");
                        edge(name, provider, place.clone(), why);
                    }
                }
            }
        }
        for (at, role) in manifest.spec.before.iter().enumerate() {
            let place = document.place(&["spec", "before", &at.to_string()]);
            edge(role.as_str(), name, place, format!("{role} waits, as {name} runs before it"));
        }
        for (at, role) in manifest.spec.after.iter().enumerate() {
            let place = document.place(&["spec", "after", &at.to_string()]);
            edge(name, role.as_str(), place, format!("{name} runs after {role}"));
        }
    }
    graph
}

/// The shortest way from a role back to itself.
fn shortest(graph: &Graph<'_>, start: petgraph::graph::NodeIndex) -> Option<Vec<petgraph::graph::EdgeIndex>> {
    let mut came = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for edge in graph.edges(node) {
            if edge.target() == start {
                let mut path = vec![edge.id()];
                let mut at = node;
                while at != start {
                    let (before, edge) = came.get(&at).copied()?;
                    path.push(edge);
                    at = before;
                }
                path.reverse();
                return Some(path);
            }
            if let Entry::Vacant(entry) = came.entry(edge.target()) {
                entry.insert((node, edge.id()));
                queue.push_back(edge.target());
            }
        }
    }
    None
}

/// The path in words, and the place of each of its edges.
fn describe(graph: &Graph<'_>, start: petgraph::graph::NodeIndex, cycle: &[petgraph::graph::EdgeIndex]) -> Diagnostic {
    let mut names = vec![graph[start]];
    names.extend(cycle.iter().filter_map(|edge| graph.edge_endpoints(*edge)).map(|(_, to)| graph[to]));
    let message = format!("roles wait for each other: {}", names.join(" → "));
    let mut waits = cycle.iter().map(|edge| &graph[*edge]);
    let place = waits.clone().next().map(|it| it.place.clone()).unwrap_or_default();
    let mut diagnostic = Diagnostic::error(Code::Cycle, place, message).help("take one of these edges away");
    if let Some(first) = waits.next() {
        diagnostic = diagnostic.label(&first.why);
    }
    waits.fold(diagnostic, |it, wait| it.note(wait.place.clone(), &wait.why))
}
