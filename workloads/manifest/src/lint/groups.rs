//! Groups can have nodes, topologies keep their limits, and parameters are there for somebody.

use std::collections::BTreeSet;

use rebar_model::{GroupSpec, Source};

use super::{Context, expressions, uses::Use};
use crate::{Code, Diagnostic, document::Document};

pub(super) fn check(context: &mut Context<'_>) {
    let Some((document, workload)) = context.workload() else { return };
    for (name, group) in &workload.spec.groups {
        limits(context, document, name.as_str(), group);
    }
    for (topology, it) in &workload.spec.topologies {
        for (name, group) in &workload.spec.groups {
            let path = ["spec", "topologies", topology, "groups", name.as_str()];
            let place = document.place(&path);
            let count = it.groups.get(name).copied();
            if document.has(&path) && count.is_none() {
                continue;
            }
            if let Some(why) = breaks(group, count.unwrap_or(0)) {
                let given = count.map_or("no nodes".to_owned(), |it| {
                    if it == 1 { "1 node".to_owned() } else { format!("{it} nodes") }
                });
                let message = format!("the topology {topology} gives the group {name} {given}, it {why}");
                let note = document.key_place(&["spec", "groups", name.as_str()]);
                let diagnostic =
                    Diagnostic::error(Code::TopologyCount, place, message).help("change the count, or the group");
                context.push(diagnostic.note(note, format!("the group {name} is defined here")));
            }
        }
    }
    unused_parameters(context);
}

/// A group whose limits no number keeps.
fn limits(context: &mut Context<'_>, document: &Document, name: &str, group: &GroupSpec) {
    let (least, most) = (group.min.unwrap_or(0), group.max.unwrap_or(u32::MAX));
    let (key, message) = if least > most {
        ("max", format!("the group {name} has at least {least} nodes and at most {most}"))
    } else if most == 0 {
        ("max", format!("the group {name} never has a node"))
    } else if group.odd && least == most && least.is_multiple_of(2) {
        ("odd", format!("the group {name} has exactly {least} nodes, and their number has to be odd"))
    } else {
        return;
    };
    let place = document.place(&["spec", "groups", name, key]);
    context.push(Diagnostic::error(Code::GroupCount, place, message).help("change `min`, `max` or `odd`"));
}

/// Which limit a number of nodes breaks. None at all is an even number, as it is when planning.
fn breaks(group: &GroupSpec, count: u32) -> Option<String> {
    if let Some(min) = group.min.filter(|min| count < *min) {
        Some(format!("needs at least {min}"))
    } else if let Some(max) = group.max.filter(|max| count > *max) {
        Some(format!("takes at most {max}"))
    } else if group.odd && count.is_multiple_of(2) {
        Some("needs an odd number".to_owned())
    } else {
        None
    }
}

/// A parameter that people set for nothing.
fn unused_parameters(context: &mut Context<'_>) {
    let Some((document, workload)) = context.workload() else { return };
    // Somebody may use it in a part that could not be read, or under a wrong name.
    let unknown = context.found.iter().any(|it| matches!(it.code, Code::UnknownParameter | Code::BadExpression));
    if !context.draft.is_complete() || unknown {
        return;
    }
    let mut used: BTreeSet<String> = BTreeSet::new();
    let mut texts: Vec<&str> = Vec::new();
    for each in Use::all(context) {
        match each.source {
            Source::Deployment(name) => drop(used.insert(name.as_str().to_owned())),
            Source::Expr(text) => texts.push(text),
            _ => {}
        }
    }
    texts.extend(context.draft.typed().filter_map(|(_, _, it)| it.spec.when.as_deref()));
    for text in texts {
        match expressions::parse(text) {
            Ok(reads) => used.extend(reads.parameters),
            Err(_) => return,
        }
    }
    for name in workload.spec.inputs.keys().filter(|it| !used.contains(it.as_str())) {
        let place = document.key_place(&["spec", "inputs", name.as_str()]);
        let message = format!("nothing uses the parameter `{name}`");
        let help = format!("take it away, or give it to a role with `from: {{deployment: {name}}}`");
        context.push(Diagnostic::warning(Code::UnusedParameter, place, message).help(help));
    }
}
