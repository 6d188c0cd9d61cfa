//! Parameters and outputs of the workload: where they get their values, where forms show them, and that parameters are there for
//! somebody. The values that are written down for them are `values.rs`.

use std::collections::{BTreeMap, BTreeSet};

use rebar_model::Source;

use super::{Context, expressions, references};
use crate::{Code, Diagnostic};

pub(super) fn check(context: &mut Context<'_>) {
    sources(context);
    outputs(context);
    form(context);
    unused_parameters(context);
}

/// A parameter comes from the site, or is a secret of it; everything else that a role could read depends on the parameters.
fn sources(context: &mut Context<'_>) {
    let Some((document, workload)) = context.workload() else { return };
    for (name, parameter) in &workload.spec.inputs {
        let Some(source) = &parameter.from else { continue };
        let path = ["spec", "inputs", name.as_str()];
        match source {
            Source::Site(site) => {
                let place = document.place(&["spec", "inputs", name.as_str(), "from", "site"]);
                references::site(context, place, site);
            }
            Source::Secret(_) if !parameter.secret => {
                let message = format!("the parameter `{name}` is not secret, its source is");
                let place = document.key_place(&path);
                context.push(Diagnostic::error(Code::SecretLeak, place, message).help("add `secret: true`"));
            }
            Source::Secret(_) => {}
            _ => {
                let place = document.key_place(&["spec", "inputs", name.as_str(), "from"]);
                let message = format!("the parameter `{name}` can come from the site alone");
                let help = "write `from: {site: PATH}` or `from: {secret: NAME}`; what comes from roles, groups and nodes is an input of the role that reads it";
                context.push(Diagnostic::error(Code::ParameterSource, place, message).help(help));
            }
        }
    }
}

/// What the workload offers is what its parameters, groups and roles have. That nodes cannot give it is said by `scopes.rs`.
fn outputs(context: &mut Context<'_>) {
    let Some((document, workload)) = context.workload() else { return };
    for (name, output) in &workload.spec.outputs {
        let key = match output.from {
            Source::Expr(_) => "expr",
            Source::Site(_) => "site",
            Source::Secret(_) => "secret",
            Source::Deployment(_) | Source::Node(_) | Source::Group { .. } | Source::Role { .. } => continue,
        };
        let place = document.key_place(&["spec", "outputs", name.as_str(), "from", key]);
        let message = format!("the output `{name}` never has a value: this version of Rebar finds none for `{key}`");
        let help = "take it from a parameter, a group or a role";
        context.push(Diagnostic::warning(Code::NoEffect, place, message).help(help));
    }
}

/// A form shows each parameter once.
fn form(context: &mut Context<'_>) {
    let Some((document, workload)) = context.workload() else { return };
    let mut seen = BTreeMap::new();
    for (at, section) in workload.spec.form.iter().enumerate() {
        for (field, name) in section.fields.iter().enumerate() {
            let place = document.place(&["spec", "form", &at.to_string(), "fields", &field.to_string()]);
            references::parameter(context, place.clone(), name.as_str());
            if let Some(first) = seen.insert(name, place.clone()) {
                let message = format!("the form shows the parameter `{name}` twice");
                let twice =
                    Diagnostic::error(Code::FieldTwice, place, message).help("take it out of one of the sections");
                context.push(twice.note(first, "shown here first"));
            }
        }
    }
}

/// A parameter that people set for nothing.
fn unused_parameters(context: &mut Context<'_>) {
    let Some((document, workload)) = context.workload() else { return };
    // Somebody may use it in a part that could not be read, or under a wrong name.
    let unknown = context
        .found
        .iter()
        .any(|it| matches!(it.code, Code::UnknownParameter | Code::UnknownVariable | Code::BadExpression));
    if !context.draft.is_complete() || unknown || context.draft.is_open() {
        return;
    }
    let mut used: BTreeSet<String> = BTreeSet::new();
    let mut texts: Vec<&str> = Vec::new();
    // What is taken over may read a parameter that the package defines for it.
    for output in workload.spec.outputs.values() {
        reads(&output.from, &mut used, &mut texts);
    }
    for spec in context.draft.members().map(|it| &it.manifest.spec) {
        texts.extend(spec.when.as_deref());
        for source in spec.inputs.values().filter_map(|it| it.from.as_ref()) {
            reads(source, &mut used, &mut texts);
        }
    }
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

/// The parameter that a source names, or the expression in which it may name some.
fn reads<'a>(source: &'a Source, used: &mut BTreeSet<String>, texts: &mut Vec<&'a str>) {
    match source {
        Source::Deployment(name) => drop(used.insert(name.as_str().to_owned())),
        Source::Expr(text) => texts.push(text),
        _ => {}
    }
}
