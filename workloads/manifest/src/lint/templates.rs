//! Templates of script roles: they are there, and each is rendered to a place of its own. Whether they are Tera is found out by the
//! agent that renders them.

use std::collections::BTreeMap;

use rebar_model::Runner;

use super::{Context, files};
use crate::{Code, Diagnostic, document::Document};

/// The most templates of a role: the agent renders no more.
const MAX_TEMPLATES: usize = 64;
/// The largest template, in bytes: the agent reads no larger one.
const MAX_TEMPLATE_BYTES: usize = 256 * 1024;

pub(super) fn check(context: &mut Context<'_>) {
    for (role, document, manifest) in context.draft.typed() {
        let Runner::Script { templates, .. } = &manifest.spec.runner else { continue };
        if templates.len() > MAX_TEMPLATES {
            let place = document.key_place(&["spec", "runner", "templates"]);
            let message = format!("role {role} has {} templates, the most is {MAX_TEMPLATES}", templates.len());
            context.push(Diagnostic::error(Code::OutOfRange, place, message).help("give some to a role of their own"));
        }
        if !templates.is_empty() && !document.has(&["spec", "phases", "apply"]) {
            let place = document.key_place(&["spec", "runner", "templates"]);
            let message = format!("role {role} has templates and no `apply`, before which they are rendered");
            let help = "add `apply: {run: apply.sh, timeout: 1m}` to `phases`, with what makes use of the files";
            context.push(Diagnostic::error(Code::IdleTemplate, place, message).help(help));
        }
        let mut targets = BTreeMap::new();
        for (template, target) in templates {
            source(context, role, document, template);
            self::target(context, document, template, target);
            if let Some(first) = targets.insert(target.as_str(), template) {
                let place = document.place(&path(template));
                let message = format!("`{first}` and `{template}` are both rendered to {target}");
                let note = document.place(&path(first));
                let twice =
                    Diagnostic::error(Code::TemplateTwice, place, message).help("give each a target of its own");
                context.push(twice.note(note, format!("`{first}` is rendered to it here")));
            }
        }
    }
}

fn path(template: &str) -> [&str; 4] {
    ["spec", "runner", "templates", template]
}

/// The template is a text of the role's directory.
fn source(context: &mut Context<'_>, role: &str, document: &Document, template: &str) {
    let place = document.key_place(&path(template));
    let directory = format!("roles/{role}/");
    files::file(context, &place, "the template", &directory, template);
    let Some(file) = context.package.get(&format!("{directory}{template}")) else { return };
    if file.bytes.len() > MAX_TEMPLATE_BYTES {
        let message = format!("the template `{template}` is larger than {MAX_TEMPLATE_BYTES} bytes");
        let help = "what is no template is copied by a phase";
        context.push(Diagnostic::error(Code::LargeDocument, place, message).help(help));
    } else if std::str::from_utf8(&file.bytes).is_err() {
        let message = format!("the template `{template}` is not UTF-8 text");
        let help = "save it as UTF-8; what is no text is copied by a phase";
        context.push(Diagnostic::error(Code::NotText, place, message).help(help));
    }
}

/// The target is one file of the machine, written in one way only.
fn target(context: &mut Context<'_>, document: &Document, template: &str, target: &str) {
    let parts = target.strip_prefix('/').is_some_and(|it| it.split('/').all(|it| !matches!(it, "" | "." | "..")));
    if !parts || target.chars().any(char::is_control) {
        let message = format!("`{template}` cannot be rendered to `{target}`");
        let help = "write the absolute path of a file, without `.`, `..`, `//` and a slash at its end";
        context.push(Diagnostic::error(Code::TemplateTarget, document.place(&path(template)), message).help(help));
    }
}
