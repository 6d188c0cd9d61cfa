//! Groups can have nodes, and topologies keep their limits.

use rebar_model::GroupSpec;

use super::Context;
use crate::{Code, Diagnostic, document::Document};

pub(super) fn check(context: &mut Context<'_>) {
    let Some((document, workload)) = context.workload() else { return };
    for (name, group) in &workload.spec.groups {
        limits(context, document, name.as_str(), group);
        if group.spread.is_some() {
            let place = document.place(&["spec", "groups", name.as_str(), "spread"]);
            let message =
                format!("`spread` of the group {name} is read, and whoever binds its nodes has to look after it");
            let help = "this version of Rebar does not choose nodes, so that it spreads none";
            context.push(Diagnostic::warning(Code::NoEffect, place, message).help(help));
        }
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
