//! Runners: whether this version has them, whether they work where the role runs, what they leave without effect, and what roles
//! give that run nothing.

use rebar_model::{BuiltinAction, Ident, OutputSpec, RebootPolicy, RoleManifest, Runner, RunsOn, Scope};

use super::{Context, types::mismatch};
use crate::{
    Code, Diagnostic,
    diagnostic::{closest, known},
    document::Document,
};

pub(super) fn check(context: &mut Context<'_>) {
    for (name, document, manifest) in context.draft.typed() {
        missing(context, name, document, manifest);
        place(context, name, document, manifest);
        idle(context, name, document, manifest);
        if matches!(manifest.spec.runner, Runner::Noop {}) {
            for (output, spec) in &manifest.spec.outputs {
                passed(context, name, document, manifest, (output, spec));
            }
        }
    }
}

/// A runner that is read and checked, and that nothing carries out yet.
fn missing(context: &mut Context<'_>, name: &str, document: &Document, manifest: &RoleManifest) {
    if let Some(what) = manifest.spec.runner.missing() {
        let place = document.place(&["spec", "runner", "type"]);
        let message = format!("role {name} needs {what}, which this version of Rebar does not have");
        let help = "the package can be imported; what would run the role is refused when it is planned";
        context.push(Diagnostic::warning(Code::MissingRunner, place, message).help(help));
    }
}

/// The runner works where the role runs.
fn place(context: &mut Context<'_>, name: &str, document: &Document, manifest: &RoleManifest) {
    let spec = &manifest.spec;
    let kind = document.place(&["spec", "runner", "type"]);
    let runs_on = document.place(&["spec", "runsOn"]);
    let runner = &spec.runner;
    let what = match runner {
        Runner::Script { .. } => "runs a script".to_owned(),
        Runner::Builtin { action } => format!("runs the builtin action {}", action.name()),
        other => format!("has the runner `{}`", other.name()),
    };
    let stands_in = matches!(
        runner,
        Runner::Noop {} | Runner::Builtin { action: BuiltinAction::WaitHttp | BuiltinAction::WaitTcp }
    );
    let (place, message, help) = match (spec.scope, spec.runs_on) {
        (Scope::Service, _) if !stands_in => (
            kind,
            format!("role {name} stands in for something outside, and {what}"),
            "take the runner `noop`, or `builtin` with the action wait.http or wait.tcp; what Rebar makes has the scope `deployment`",
        ),
        (scope, _) if runner.on_agent() && !scope.has_node() => (
            kind,
            format!("role {name} {what} and has no node to run it on"),
            "give it the scope `node` or `leader`, or take the runner `builtin` or `noop`",
        ),
        (_, Some(RunsOn::Engine)) if runner.on_agent() => {
            (runs_on, format!("role {name} {what}, and the engine runs none"), "take `runsOn: engine` away")
        }
        (_, Some(RunsOn::Agent))
            if matches!(runner, Runner::Builtin { .. } | Runner::Wasm { .. }) && !runner.on_agent() =>
        {
            (runs_on, format!("role {name} {what}, which agents do not have"), "take `runsOn: agent` away")
        }
        (scope, Some(RunsOn::Agent)) if !scope.has_node() => {
            (runs_on, format!("role {name} has no node, and so no agent"), "take `runsOn: agent` away")
        }
        _ => return,
    };
    context.push(Diagnostic::error(Code::RunnerPlace, place, message).help(help));
}

/// Keys that say something of machines, where the runner has nothing to do with any.
fn idle(context: &mut Context<'_>, name: &str, document: &Document, manifest: &RoleManifest) {
    let spec = &manifest.spec;
    if spec.reboot != RebootPolicy::Never && !spec.runner.on_agent() {
        let place = document.place(&["spec", "reboot"]);
        let message = format!("`reboot` has no effect on role {name}, which runs nothing on a machine");
        let help = "take it away; a role with the action node.reboot reboots by itself";
        context.push(Diagnostic::warning(Code::NoEffect, place, message).help(help));
    }
    if spec.protect && matches!(spec.runner, Runner::Noop {}) {
        let place = document.place(&["spec", "protect"]);
        let message = format!("`protect` has no effect on role {name}, which does nothing that could be lost");
        context
            .push(Diagnostic::warning(Code::NoEffect, place, message).help("give it to the role that keeps the data"));
    }
}

/// A role that runs nothing gives what it is given: an output has an input of its name, and takes what that has.
fn passed(
    context: &mut Context<'_>,
    name: &str,
    document: &Document,
    manifest: &RoleManifest,
    (output, spec): (&Ident, &OutputSpec),
) {
    let path = ["spec", "outputs", output.as_str()];
    let inputs = &manifest.spec.inputs;
    let Some(input) = inputs.get(output) else {
        // It may be there and broken; then that is said already.
        if document.has(&["spec", "inputs", output.as_str()]) {
            return;
        }
        let names = || inputs.keys().map(Ident::as_str);
        let message = format!("nothing gives the output `{output}` of role {name}");
        let help = format!("the outputs of a noop are its inputs of the same name; {}", known("inputs", names()));
        let near = closest(output.as_str(), names());
        let place = document.key_place(&path);
        context.push(Diagnostic::error(Code::NoopOutput, place, message).suggest(near).help(help));
        return;
    };
    let note = document.key_place(&["spec", "inputs", output.as_str()]);
    if let Some(why) = mismatch(&input.schema, &spec.schema) {
        let message = format!("the output `{output}` of role {name} does not fit the input that it is");
        let differs = Diagnostic::error(Code::NoopOutput, document.key_place(&path), message).label(why);
        context.push(differs.help("make both schemas the same").note(note, "the input is declared here"));
    } else if input.is_secret() && !spec.secret {
        let message = format!("the output `{output}` of role {name} is not secret, the input that it is, is");
        let leaks = Diagnostic::error(Code::SecretLeak, document.key_place(&path), message);
        context.push(leaks.help("add `secret: true`").note(note, "the input is declared here"));
    }
}
