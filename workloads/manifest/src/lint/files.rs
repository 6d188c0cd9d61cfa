//! Files that keys name, besides those of phases: icons, and what runners are given. They are there, and where they belong.

use rebar_model::Runner;

use super::Context;
use crate::{Code, Diagnostic, Place, diagnostic::closest, package::check_path};

pub(super) fn check(context: &mut Context<'_>) {
    if let Some((document, workload)) = context.workload()
        && let Some(icon) = &workload.metadata.icon
    {
        file(context, &document.place(&["metadata", "icon"]), "the icon", "", icon);
    }
    for (role, document, manifest) in context.draft.typed() {
        let directory = format!("roles/{role}/");
        if let Some(icon) = &manifest.metadata.icon {
            file(context, &document.place(&["metadata", "icon"]), "the icon", &directory, icon);
        }
        let place = |key: &str| document.place(&["spec", "runner", key]);
        match &manifest.spec.runner {
            Runner::Ansible { playbook, .. } => file(context, &place("playbook"), "the playbook", &directory, playbook),
            Runner::Puppet { manifest, modulepath } => {
                file(context, &place("manifest"), "the manifest", &directory, manifest);
                folder(context, &place("modulepath"), &directory, modulepath.as_deref());
            }
            Runner::Chef { cookbooks, .. } => folder(context, &place("cookbooks"), &directory, cookbooks.as_deref()),
            Runner::Salt { state } => file(context, &place("state"), "the state", &directory, state),
            Runner::Wasm { module, .. } => file(context, &place("module"), "the component", &directory, module),
            // Templates have rules of their own, in `templates.rs`.
            Runner::Script { .. } | Runner::Builtin { .. } | Runner::Noop {} => {}
        }
    }
}

/// A file of a directory is there; the directory ends in a slash, and is empty for the package itself.
pub(super) fn file(context: &mut Context<'_>, place: &Place, what: &str, directory: &str, path: &str) {
    let full = format!("{directory}{path}");
    if leads_out(context, place, what, directory, path) || context.package.get(&full).is_some() {
        return;
    }
    let files = || context.package.files().filter_map(|(it, _)| it.strip_prefix(directory));
    let near = closest(path, files().filter(|it| *it != "role.yaml" && *it != "workload.yaml"));
    let message = format!("{what} `{path}` is not in {}", shown(directory));
    let help = format!("add {full}, or correct the name");
    context.push(Diagnostic::error(Code::MissingFile, place.clone(), message).suggest(near).help(help));
}

/// A folder of a directory is there, with something in it.
fn folder(context: &mut Context<'_>, place: &Place, directory: &str, path: Option<&str>) {
    let Some(path) = path.map(|it| it.trim_end_matches('/')) else { return };
    if leads_out(context, place, "the directory", directory, path) {
        return;
    }
    if context.package.below(&format!("{directory}{path}")).next().is_none() {
        let message = format!("the directory `{path}` is not in {}", shown(directory));
        let help = format!("add {directory}{path}/ with its files, or correct the name");
        context.push(Diagnostic::error(Code::MissingFile, place.clone(), message).help(help));
    }
}

/// Whether a path leads out of its directory, or nowhere; says so.
fn leads_out(context: &mut Context<'_>, place: &Place, what: &str, directory: &str, path: &str) -> bool {
    if check_path(path).is_ok() {
        return false;
    }
    let message = format!("{what} `{path}` is not a path inside of {}", shown(directory));
    let help = "write a relative path with `/`, without `..`";
    context.push(Diagnostic::error(Code::MissingFile, place.clone(), message).help(help));
    true
}

fn shown(directory: &str) -> &str {
    if directory.is_empty() { "the package" } else { directory }
}
