//! Roles with a builtin action have the ports of that action, and no others.

use rebar_model::{BuiltinPort, RoleManifest, Runner};
use serde_json::Value;

use super::{Context, types::mismatch};
use crate::{
    Code, Diagnostic,
    diagnostic::{closest, known},
    document::Document,
};

pub(super) fn check(context: &mut Context<'_>) {
    for (name, document, manifest) in context.draft.typed() {
        let Runner::Builtin { action } = &manifest.spec.runner else { continue };
        let Some(ports) = action.ports() else { continue };
        let role = Role { name, document, manifest, action: action.name() };
        role.missing(context, ports.inputs);
        for (section, ports) in [("inputs", ports.inputs), ("outputs", ports.outputs)] {
            role.unknown(context, section, ports);
        }
        role.types(context, ports.inputs, ports.outputs);
    }
}

/// A role with a builtin action.
struct Role<'a> {
    name: &'a str,
    document: &'a Document,
    manifest: &'a RoleManifest,
    action: &'static str,
}

impl Role<'_> {
    /// What the action cannot do without.
    fn missing(&self, context: &mut Context<'_>, ports: &[BuiltinPort]) {
        let declared = self.document.keys(&["spec", "inputs"]);
        for port in ports.iter().filter(|it| it.required && !declared.contains(&it.name)) {
            let place = self.document.place(&["spec", "runner", "action"]);
            let message = format!("the action {} needs the input `{}`: {}", self.action, port.name, port.about);
            let help = format!("add `{}: {{schema: {}, from: …}}` to `inputs`", port.name, port.kind.schema());
            context.push(Diagnostic::error(Code::BuiltinMissingPort, place, message).help(help));
        }
    }

    /// What the action does not know.
    fn unknown(&self, context: &mut Context<'_>, section: &str, ports: &[BuiltinPort]) {
        for key in self.document.keys(&["spec", section]) {
            if ports.iter().all(|it| it.name != key) {
                let names = || ports.iter().map(|it| it.name);
                let place = self.document.key_place(&["spec", section, key]);
                let message = format!(
                    "the action {} of role {} has no {} `{key}`",
                    self.action,
                    self.name,
                    section.trim_end_matches('s')
                );
                let help = known(&format!("{section} of {}", self.action), names());
                let near = closest(key, names());
                context.push(Diagnostic::error(Code::BuiltinUnknownPort, place, message).suggest(near).help(help));
            }
        }
    }

    /// The types of both ends agree: the action takes what the input allows, the output allows what the action gives.
    fn types(&self, context: &mut Context<'_>, inputs: &[BuiltinPort], outputs: &[BuiltinPort]) {
        let spec = &self.manifest.spec;
        for port in inputs {
            let declared = spec.inputs.iter().find(|(name, _)| name.as_str() == port.name);
            if let Some((_, input)) = declared
                && let Some(why) = mismatch(&input.schema, &port.kind.schema())
            {
                self.wrong_type(context, "inputs", port, &port.kind.schema(), why);
            }
        }
        for port in outputs {
            let declared = spec.outputs.iter().find(|(name, _)| name.as_str() == port.name);
            if let Some((_, output)) = declared
                && let Some(why) = mismatch(&port.kind.schema(), &output.schema)
            {
                self.wrong_type(context, "outputs", port, &port.kind.schema(), why);
            }
        }
    }

    fn wrong_type(&self, context: &mut Context<'_>, section: &str, port: &BuiltinPort, schema: &Value, why: String) {
        let place = self.document.key_place(&["spec", section, port.name, "schema"]);
        let message = format!("`{}` of the action {} is {schema}", port.name, self.action);
        let help = format!("write `schema: {schema}`, or something narrower");
        context.push(Diagnostic::error(Code::BuiltinPortType, place, message).label(why).help(help));
    }
}
