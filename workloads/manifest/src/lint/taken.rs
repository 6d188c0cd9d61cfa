//! What a package takes from the workloads that it uses: they are there, no name comes from two sides, and their roles find what they
//! read. What the package's own roles make of it is looked at by all other checks.

use std::collections::BTreeMap;

use rebar_model::{Source, Workload};

use super::{Context, expressions, types::mismatch};
use crate::{Code, Diagnostic, Shelf, diagnostic::known};

pub(super) fn check(context: &mut Context<'_>) {
    there(context);
    roles(context);
    parameters(context);
    for (at, workload) in context.draft.taken() {
        groups(context, at, workload);
    }
}

/// Each entry of `uses` is met, and names a workload of its own.
fn there(context: &mut Context<'_>) {
    let Some((document, manifest)) = context.workload() else { return };
    let mut seen = BTreeMap::new();
    for (at, used) in manifest.spec.uses.iter().enumerate() {
        let place = context.draft.used_place(at);
        if let Some(first) = seen.insert(&used.workload, at) {
            let message = format!("the workload `{}` is used twice", used.workload);
            let twice = Diagnostic::error(Code::TakenTwice, place, message).help("take one of the entries away");
            context.push(twice.note(context.draft.used_place(first), "used here first"));
            continue;
        }
        if context.draft.used.get(at).is_none_or(Option::is_some) {
            continue;
        }
        let place = document.place(&["spec", "uses", &at.to_string(), "version"]);
        let found: Vec<String> = context.shelf.of(used).map(|it| it.reference()).collect();
        let found = found.iter().map(String::as_str);
        let asked = format!("`{}` in a version that meets `{}`", used.workload, used.version);
        context.push(match context.shelf {
            Shelf::Whole(_) => {
                let help = format!(
                    "{}; import one that meets it with `rebar workload import DIR`",
                    known("imported versions", found)
                );
                Diagnostic::error(Code::UnknownWorkload, place, format!("nobody has imported {asked}")).help(help)
            }
            Shelf::Part(_) => {
                let help =
                    "name the folder of its package with `--with DIR`, so that what comes from it is checked as well";
                Diagnostic::warning(Code::UnknownWorkload, place, format!("{asked} is not at hand")).help(help)
            }
        });
    }
}

/// A role is of the package or of one used workload.
fn roles(context: &mut Context<'_>) {
    let mut seen: BTreeMap<&str, (usize, &Workload)> = BTreeMap::new();
    for (at, workload) in context.draft.taken() {
        for name in workload.roles.keys().map(rebar_model::Name::as_str) {
            let place = context.draft.used_place(at);
            let by = workload.reference();
            if let Some(own) = context.draft.role(name) {
                let message = format!("the package has a role `{name}`, and so has {by}, which it uses");
                let mine = own.document.place(&["metadata", "name"]);
                let both = Diagnostic::error(Code::TakenTwice, mine, message).help("give the role another name");
                context.push(both.note(place, format!("{by} is used here")));
            } else if let Some((first, other)) = seen.insert(name, (at, workload)).filter(|it| is_other(it.1, workload))
            {
                let message = format!("the role `{name}` comes from {by} and from {}", other.reference());
                let help = "use one of them; a workload brings along what it uses itself";
                let both = Diagnostic::error(Code::TakenTwice, place, message).help(help);
                let note = context.draft.used_place(first);
                context.push(both.note(note, format!("{} is used here", other.reference())));
            }
        }
    }
}

/// Whether two workloads have different names. That one is used twice is said for all that is in it.
fn is_other(one: &Workload, another: &Workload) -> bool {
    one.metadata.name != another.metadata.name
}

/// A parameter is of one used workload, unless the package defines it itself.
fn parameters(context: &mut Context<'_>) {
    let Some(own) = context.draft.workload.as_ref().map(|it| &it.document) else { return };
    let mut seen: BTreeMap<&str, (usize, &Workload)> = BTreeMap::new();
    for (at, workload) in context.draft.taken() {
        for (name, theirs) in workload.spec.inputs.iter().map(|(name, it)| (name.as_str(), it)) {
            let place = context.draft.used_place(at);
            let by = workload.reference();
            let path = ["spec", "inputs", name];
            if own.has(&path) {
                let message = format!("the parameter `{name}` of {by} is defined again, and this definition holds");
                let help =
                    "take it away to have that of the used workload; else see that its values fit the roles there";
                let mut again = Diagnostic::warning(Code::OwnDefinition, own.key_place(&path), message).help(help);
                again.label = context.parameter(name).and_then(|it| mismatch(&it.schema, &theirs.schema));
                context.push(again.note(place, format!("{by} is used here")));
            } else if let Some((first, other)) = seen.insert(name, (at, workload)).filter(|it| is_other(it.1, workload))
            {
                let message = format!("the parameter `{name}` comes from {by} and from {}", other.reference());
                let help = format!("define `{name}` in `inputs`: the package's own definition holds for both");
                let both = Diagnostic::error(Code::TakenTwice, place, message).help(help);
                let note = context.draft.used_place(first);
                context.push(both.note(note, format!("{} is used here", other.reference())));
            }
        }
    }
}

/// The groups that used roles read are there. Those that they bind themselves to need not be: a group may list the role, or another
/// role may need it.
fn groups(context: &mut Context<'_>, at: usize, workload: &Workload) {
    let Some(known) = context.groups() else { return };
    for (name, role) in &workload.roles {
        for (port, input) in &role.manifest.spec.inputs {
            let read: Vec<String> = match &input.from {
                Some(Source::Group { group, .. }) => vec![group.to_string()],
                Some(Source::Expr(text)) => {
                    expressions::parse(text).map(|it| it.groups.into_iter().collect()).unwrap_or_default()
                }
                _ => Vec::new(),
            };
            for group in read.iter().filter(|it| !known.contains(&it.as_str())) {
                let message = format!(
                    "the input `{port}` of role {name}, of {}, reads the group `{group}`, which this workload does not have",
                    workload.reference()
                );
                let help =
                    format!("add the group `{group}`; {}", crate::diagnostic::known("groups", known.iter().copied()));
                let place = context.draft.used_place(at);
                context.push(Diagnostic::error(Code::ForeignGroup, place, message).help(help));
            }
        }
    }
}
