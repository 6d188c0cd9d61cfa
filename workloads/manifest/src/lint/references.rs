//! What the documents refer to exists: roles, outputs, parameters, groups, facts, capabilities.

use std::collections::BTreeSet;

use rebar_model::{Ident, Require, Source};

use super::{Context, uses::Use};
use crate::{
    Code, Diagnostic, Place,
    diagnostic::{closest, known},
    document::Document,
};

/// The facts that a node has, with their JSON types; `labels.NAME` is any label.
pub(super) const FACTS: &[(&str, &str)] = &[
    ("name", "string"),
    ("hostname", "string"),
    ("addresses.primary", "string"),
    ("addresses.all", "array"),
    ("os.id", "string"),
    ("os.version", "string"),
    ("os.name", "string"),
    ("os.kernel", "string"),
    ("arch", "string"),
    ("cpu.count", "integer"),
    ("cpu.model", "string"),
    ("memory_mb", "integer"),
];

/// The JSON type of a fact.
pub(super) fn fact_type(path: &str) -> Option<&'static str> {
    match path.strip_prefix("labels.") {
        Some(label) if !label.is_empty() => Some("string"),
        _ => FACTS.iter().find(|(name, _)| *name == path).map(|(_, kind)| *kind),
    }
}

pub(super) fn check(context: &mut Context<'_>) {
    for each in Use::all(context) {
        source(context, &each);
    }
    for (name, document, manifest) in context.draft.typed() {
        no_source(context, name, document);
        for (at, require) in manifest.spec.requires.iter().enumerate() {
            requirement(context, name, document, &at.to_string(), require);
        }
        for (key, roles) in [("before", &manifest.spec.before), ("after", &manifest.spec.after)] {
            for (at, role) in roles.iter().enumerate() {
                if !context.draft.knows_role(role.as_str()) {
                    let place = document.place(&["spec", key, &at.to_string()]);
                    let message = format!("`{key}` names the role `{role}`, which this package does not have");
                    let help =
                        "soft order with a role that is not there does nothing; take it away unless it is meant so";
                    let near = closest(role.as_str(), context.draft.role_names());
                    context.push_missing(
                        Diagnostic::warning(Code::SoftOrderUnknown, place, message).help(help).suggest(near),
                    );
                }
            }
        }
        for (at, name) in manifest.spec.bind.iter().flat_map(|it| &it.groups).enumerate() {
            group(context, document.place(&["spec", "bind", "groups", &at.to_string()]), name.as_str());
        }
    }
    workload(context);
}

/// What a `from:` names.
fn source(context: &mut Context<'_>, each: &Use<'_>) {
    match each.source {
        Source::Deployment(name) => parameter(context, each.place("deployment"), name.as_str()),
        Source::Group { group: name, .. } => group(context, each.place("group"), name.as_str()),
        Source::Node(path) if fact_type(path).is_none() => {
            let names = || FACTS.iter().map(|(name, _)| *name).chain(["labels.NAME"]);
            let message = format!("`{path}` is not a fact of nodes");
            let near = closest(path, names());
            let diagnostic = Diagnostic::error(Code::UnknownFact, each.place("node"), message).suggest(near);
            context.push(diagnostic.help(format!("facts are {}", names().collect::<Vec<_>>().join(", "))));
        }
        Source::Role { role: name, output, .. } => {
            if role(context, each.place("role"), name.as_str()) {
                self::output(context, each.place("output"), name.as_str(), output.as_str());
            }
        }
        Source::Site(path) => site(context, each.place("site"), path),
        // What a site has is known where it is deployed.
        Source::Node(_) | Source::Expr(_) | Source::Secret(_) => {}
    }
}

/// Whether a path into the site can lead anywhere: the name of a parameter, and the keys inside of its value.
pub(super) fn site(context: &mut Context<'_>, place: Place, path: &str) {
    let mut parts = path.split('.');
    let name = parts.next().is_some_and(|it| Ident::new(it).is_ok());
    if !name || parts.any(str::is_empty) {
        let message = format!("`{path}` is not a path into the site");
        let help = "write the name of a parameter of the site, and keys inside of its value after dots: `dns.domain`";
        context.push(Diagnostic::error(Code::Malformed, place, message).help(help));
    }
}

/// Whether a role exists; says so if not.
pub(super) fn role(context: &mut Context<'_>, place: Place, name: &str) -> bool {
    if context.draft.knows_role(name) {
        return true;
    }
    let near = closest(name, context.draft.role_names());
    let help = known("roles", context.draft.role_names());
    let message = format!("there is no role `{name}`");
    context.push_missing(Diagnostic::error(Code::UnknownRole, place, message).help(help).suggest(near));
    false
}

/// Whether a role has an output.
fn output(context: &mut Context<'_>, place: Place, role: &str, name: &str) {
    let written = context.draft.role(role).map(|it| &it.document);
    let outputs: Vec<&str> = match (written, context.manifest(role)) {
        (Some(document), _) => document.keys(&["spec", "outputs"]),
        (None, Some(manifest)) => manifest.spec.outputs.keys().map(Ident::as_str).collect(),
        (None, None) => return,
    };
    if outputs.contains(&name) {
        return;
    }
    let near = closest(name, outputs.iter().copied());
    let message = format!("the role {role} has no output `{name}`");
    let help = known(&format!("outputs of {role}"), outputs);
    let diagnostic = Diagnostic::error(Code::UnknownOutput, place, message).suggest(near).help(help);
    context.push(match written {
        Some(document) => {
            diagnostic.note(document.key_place(&["spec", "outputs"]), format!("{role} declares its outputs here"))
        }
        None => diagnostic,
    });
}

/// Whether a parameter exists.
pub(super) fn parameter(context: &mut Context<'_>, place: Place, name: &str) {
    let Some(parameters) = context.parameters() else { return };
    if !parameters.contains(&name) {
        let near = closest(name, parameters.iter().copied());
        let message = format!("the workload has no parameter `{name}`");
        let help = known("parameters", parameters);
        context.push_missing(Diagnostic::error(Code::UnknownParameter, place, message).suggest(near).help(help));
    }
}

/// Whether a group exists.
pub(super) fn group(context: &mut Context<'_>, place: Place, name: &str) {
    let Some(groups) = context.groups() else { return };
    if !groups.contains(&name) {
        let near = closest(name, groups.iter().copied());
        let message = format!("the workload has no group `{name}`");
        let help = known("groups", groups);
        context.push(Diagnostic::error(Code::UnknownGroup, place, message).suggest(near).help(help));
    }
}

/// An input gets its value from somewhere.
fn no_source(context: &mut Context<'_>, role: &str, document: &Document) {
    for input in document.keys(&["spec", "inputs"]) {
        // Asked of the tree, so that a `from` that cannot be read does not count as missing.
        let path = ["spec", "inputs", input];
        let has = |key: &str| document.has(&[&path[..], &[key]].concat());
        if has("schema") && !has("from") && !has("default") {
            let message = format!("the input `{input}` of role {role} has neither `from` nor `default`");
            let help = "say where the value comes from, such as `from: {deployment: PARAMETER}`, or give a `default`";
            context.push(Diagnostic::error(Code::NoSource, document.key_place(&path), message).help(help));
        }
    }
}

/// What an entry of `requires` names.
fn requirement(context: &mut Context<'_>, reader: &str, document: &Document, at: &str, require: &Require) {
    if let Some(name) = &require.role {
        let place = document.place(&["spec", "requires", at, "role"]);
        if require.optional && !context.draft.knows_role(name.as_str()) {
            let message =
                format!("the role {reader} requires `{name}` if it is there, and this package does not have it");
            let near = closest(name.as_str(), context.draft.role_names());
            let help = "take the entry away, or correct the name";
            context.push_missing(Diagnostic::warning(Code::UnknownRole, place, message).suggest(near).help(help));
        } else {
            role(context, place, name.as_str());
        }
    }
    if let Some(capability) = &require.capability {
        let provided: BTreeSet<&str> =
            context.draft.members().flat_map(|it| &it.manifest.spec.provides).map(rebar_model::Name::as_str).collect();
        // A role that could not be read may be the one that provides it.
        let all_read = context.draft.roles.values().all(|it| it.complete) && context.draft.unreadable.is_empty();
        if !require.optional && all_read && !provided.contains(capability.as_str()) {
            let place = document.place(&["spec", "requires", at, "capability"]);
            let near = closest(capability.as_str(), provided.iter().copied());
            let message = format!("no role provides the capability `{capability}`");
            let help = format!("{}; add it to the `provides` of a role", known("capabilities", provided));
            context
                .push_missing(Diagnostic::error(Code::UnprovidedCapability, place, message).suggest(near).help(help));
        }
    }
}

/// What the groups and topologies of the workload name.
fn workload(context: &mut Context<'_>) {
    let Some((document, manifest)) = context.workload() else { return };
    for (name, spec) in &manifest.spec.groups {
        for (at, each) in spec.roles.iter().enumerate() {
            let place = document.place(&["spec", "groups", name.as_str(), "roles", &at.to_string()]);
            role(context, place, each.as_str());
        }
    }
    for (name, topology) in &manifest.spec.topologies {
        for each in topology.groups.keys() {
            group(context, document.key_place(&["spec", "topologies", name, "groups", each.as_str()]), each.as_str());
        }
        for each in topology.inputs.keys() {
            parameter(
                context,
                document.key_place(&["spec", "topologies", name, "inputs", each.as_str()]),
                each.as_str(),
            );
        }
    }
}
