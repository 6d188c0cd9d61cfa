//! The order among roles: it has no cycles, whoever made the edges.

use std::collections::{BTreeMap, VecDeque, btree_map::Entry};

use petgraph::{algo::tarjan_scc, graph::DiGraph, visit::EdgeRef};
use rebar_model::Source;

use super::Context;
use crate::{Code, Diagnostic, Place, draft::Member};

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

/// Every edge: data, `requires`, `before`, `after`; from the role that waits to the one that it waits for. Roles that are taken over
/// are in it: together with the package's own they may make a circle that none of them has alone.
fn graph<'a>(context: &Context<'a>) -> Graph<'a> {
    let mut graph = Graph::new();
    let members: Vec<Member<'a>> = context.draft.members().collect();
    let nodes: BTreeMap<&str, _> = members.iter().map(|it| (it.name, graph.add_node(it.name))).collect();
    let mut edge = |from: &str, to: &str, place: Place, why: String| {
        if let (Some(from), Some(to)) = (nodes.get(from), nodes.get(to)) {
            graph.add_edge(*from, *to, Wait { place, why });
        }
    };
    for member in &members {
        let (name, title, spec) = (member.name, member.title(), &member.manifest.spec);
        let place = |path: &[&str]| member.place(context.draft, path);
        for (port, input) in &spec.inputs {
            if let Some(Source::Role { role, output, .. }) = &input.from {
                let place = place(&["spec", "inputs", port.as_str(), "from", "role"]);
                edge(name, role.as_str(), place, format!("{title} takes `{output}` of {role}"));
            }
        }
        for (at, require) in spec.requires.iter().enumerate() {
            let at = at.to_string();
            if let Some(role) = &require.role {
                let place = place(&["spec", "requires", &at, "role"]);
                edge(name, role.as_str(), place, format!("{title} requires {role}"));
            }
            if let Some(capability) = &require.capability {
                let place = place(&["spec", "requires", &at, "capability"]);
                let providers = members.iter().filter(|it| it.manifest.spec.provides.contains(capability));
                for provider in providers.map(|it| it.name).filter(|it| *it != name) {
                    let why = format!("{title} requires `{capability}`, which {provider} provides");
                    edge(name, provider, place.clone(), why);
                }
            }
        }
        for (at, role) in spec.before.iter().enumerate() {
            let place = place(&["spec", "before", &at.to_string()]);
            edge(role.as_str(), name, place, format!("{role} waits, as {title} runs before it"));
        }
        for (at, role) in spec.after.iter().enumerate() {
            let place = place(&["spec", "after", &at.to_string()]);
            edge(name, role.as_str(), place, format!("{title} runs after {role}"));
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
