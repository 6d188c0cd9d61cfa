//! Phases: their files are there and can run, their limits are stated, and a node can be left as it was found.

use rebar_model::{Phase, PhaseSpec, RoleManifest, Runner, Scope};

use super::Context;
use crate::{Code, Diagnostic, diagnostic::closest, document::Document};

/// The phases in the order in which they run.
const PHASES: [(&str, Phase); 5] = [
    ("check", Phase::Check),
    ("drain", Phase::Drain),
    ("apply", Phase::Apply),
    ("verify", Phase::Verify),
    ("undo", Phase::Undo),
];

pub(super) fn check(context: &mut Context<'_>) {
    for (name, document, manifest) in context.draft.typed() {
        match &manifest.spec.runner {
            Runner::Script { shell, .. } => script(context, name, document, manifest, shell.is_some()),
            // What their phases run may be an entry point that no file has the name of.
            Runner::Ansible { .. }
            | Runner::Chef { .. }
            | Runner::Puppet { .. }
            | Runner::Salt { .. }
            | Runner::Wasm { .. } => phases(context, document, manifest),
            Runner::Builtin { .. } | Runner::Noop {} => {
                if !document.keys(&["spec", "phases"]).is_empty() {
                    let place = document.key_place(&["spec", "phases"]);
                    let message = format!("role {name} has phases, and its runner does not run them");
                    let help = "take them away, or write `runner: {type: script}`";
                    context.push(Diagnostic::warning(Code::NoEffect, place, message).help(help));
                }
            }
        }
    }
}

/// What holds for the phases of every tool.
fn phases(context: &mut Context<'_>, document: &Document, manifest: &RoleManifest) {
    for (name, phase) in PHASES {
        let Some(it) = manifest.spec.phases.get(phase) else { continue };
        limits(context, document, name, it);
        environment(context, document, name, it);
    }
    let written = document.keys(&["spec", "phases"]);
    let position = |name: &str| PHASES.iter().position(|(it, _)| *it == name);
    if let Some(pair) = written.windows(2).find(|pair| position(pair[0]) > position(pair[1])) {
        let place = document.key_place(&["spec", "phases", pair[1]]);
        let message = format!("`{}` is written after `{}` and runs before it", pair[1], pair[0]);
        let help = "write phases in the order in which they run: check, drain, apply, verify, undo";
        context.push(Diagnostic::warning(Code::PhaseOrder, place, message).help(help));
    }
}

/// The phases of a script role.
fn script(context: &mut Context<'_>, role: &str, document: &Document, manifest: &RoleManifest, has_shell: bool) {
    let spec = &manifest.spec;
    phases(context, document, manifest);
    for (name, phase) in PHASES {
        if let Some(it) = spec.phases.get(phase) {
            file(context, role, document, name, it, has_shell);
        }
    }
    let written = document.keys(&["spec", "phases"]);
    let has = |name: &str| written.contains(&name);
    if !has("apply") && !has("verify") {
        let place = document.key_place(&["spec", "phases"]);
        let message = format!("role {role} runs scripts and has neither `apply` nor `verify`");
        let help = "add `apply: {run: apply.sh, timeout: 5m}` to `phases`";
        context.push(Diagnostic::error(Code::NoApply, place, message).help(help));
    } else if has("check") && !has("apply") {
        let place = document.key_place(&["spec", "phases", "check"]);
        let message = "`check` asks whether `apply` is needed, and there is no `apply`";
        context.push(Diagnostic::warning(Code::NoEffect, place, message).help("take it away, or name it `verify`"));
    }
    if spec.scope == Scope::Node && has("apply") && !has("undo") && !spec.destructive {
        let place = document.key_place(&["spec", "phases"]);
        let message = format!("role {role} changes nodes and has no `undo`");
        let help = "add `undo: {run: undo.sh, timeout: 5m}`, so that a node can leave the deployment as it came";
        context.push(Diagnostic::warning(Code::NoUndo, place, message).help(help));
    }
}

/// Timeouts are stated; what only `verify` knows stands only there.
fn limits(context: &mut Context<'_>, document: &Document, name: &str, phase: &PhaseSpec) {
    let path = ["spec", "phases", name];
    if phase.timeout.is_none() && !document.has(&["spec", "phases", name, "timeout"]) {
        let message = format!("the phase `{name}` has no timeout");
        let help = format!("add `timeout`; without it the phase gets {}", PhaseSpec::DEFAULT_TIMEOUT);
        context.push(Diagnostic::warning(Code::NoTimeout, document.key_place(&path), message).help(help));
    }
    for (key, given) in [("every", phase.every.is_some()), ("successes", phase.successes.is_some())] {
        if given && name != "verify" {
            let place = document.key_place(&["spec", "phases", name, key]);
            let message = format!("`{key}` has no effect on `{name}`");
            let help = "it belongs to `verify`; to try again after a failure, write `retries`";
            context.push(Diagnostic::warning(Code::NoEffect, place, message).help(help));
        }
    }
}

/// The file is in the package and can be run.
fn file(context: &mut Context<'_>, role: &str, document: &Document, name: &str, phase: &PhaseSpec, has_shell: bool) {
    let place = document.place(&["spec", "phases", name, "run"]);
    let directory = format!("roles/{role}");
    let path = format!("{directory}/{}", phase.run);
    let Some(file) = context.package.get(&path) else {
        let files = || context.package.below(&directory).map(|(path, _)| path).filter(|it| *it != "role.yaml");
        let near = closest(&phase.run, files());
        let message = format!("the phase `{name}` runs `{}`, which is not in {directory}/", phase.run);
        let help = format!("write {path}");
        context.push(Diagnostic::error(Code::MissingScript, place, message).suggest(near).help(help));
        return;
    };
    let first = file.bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if first.starts_with(b"#!") && first.ends_with(b"\r") {
        let message =
            format!("{path} has lines that end as on Windows; the kernel looks for an interpreter with that name");
        let help = format!("convert it: sed -i 's/\\r$//' {path}");
        context.push(Diagnostic::error(Code::NotAScript, place, message).help(help));
    } else if first.starts_with(b"#!") || has_shell || file.bytes.starts_with(b"\x7fELF") {
        // It says itself what runs it.
    } else if std::str::from_utf8(&file.bytes).is_err() {
        let message = format!("{path} is neither a text nor a program");
        context.push(Diagnostic::warning(Code::NotAScript, place, message).help("name a script with a `#!` line"));
    } else {
        let message = format!("{path} has no `#!` line");
        let help = "begin it with `#!/bin/sh`, or name a `shell` in `runner`";
        context.push(Diagnostic::warning(Code::NotAScript, place, message).help(help));
    }
}

/// Environment variables that the agent sets itself, or that look as if somebody would expand them.
fn environment(context: &mut Context<'_>, document: &Document, name: &str, phase: &PhaseSpec) {
    for (key, value) in &phase.env {
        let path = ["spec", "phases", name, "env", key.as_str()];
        if key.starts_with("REBAR_") {
            let message = format!("`{key}` is set by the agent");
            let help = "names that begin with `REBAR_` are taken; choose another";
            context.push(Diagnostic::error(Code::BadEnvironment, document.key_place(&path), message).help(help));
        } else if key.is_empty() || key.contains(['=', '\0']) {
            let message = format!("`{key}` cannot be the name of an environment variable");
            let help = "use letters, digits and underscores";
            context.push(Diagnostic::error(Code::BadEnvironment, document.key_place(&path), message).help(help));
        }
        if value.contains("${") || value.contains('\0') {
            let message = format!("the value of `{key}` is given to the phase as it is: nothing expands `${{…}}`");
            let help = "declare an input with `from`, and read it with `rebar-input NAME`";
            context.push(Diagnostic::error(Code::BadEnvironment, document.place(&path), message).help(help));
        }
    }
}
