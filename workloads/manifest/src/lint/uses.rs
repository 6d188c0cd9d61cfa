//! Every place of a package that reads a value by `from:`: the inputs of roles and the outputs of the workload, in one form
//! for all checks.

use rebar_model::{RoleManifest, Source};
use serde_json::Value;

use super::Context;
use crate::{Place, document::Document};

/// One `from:`.
pub(super) struct Use<'a> {
    pub document: &'a Document,
    /// The role that reads; none for an output of the workload.
    pub reader: Option<(&'a str, &'a RoleManifest)>,
    /// The name of the input or output.
    pub port: &'a str,
    /// `inputs` or `outputs`.
    section: &'static str,
    pub source: &'a Source,
    /// The schema that the value has to fit.
    pub schema: Option<&'a Value>,
    pub secret: bool,
}

impl<'a> Use<'a> {
    /// Every `from:` of the package.
    pub fn all(context: &Context<'a>) -> Vec<Self> {
        let mut uses = Vec::new();
        for (role, document, manifest) in context.draft.typed() {
            for (port, input) in &manifest.spec.inputs {
                if let Some(source) = &input.from {
                    let (schema, secret) = (Some(&input.schema), input.secret);
                    let reader = Some((role, manifest));
                    uses.push(Use { document, reader, port: port.as_str(), section: "inputs", source, schema, secret });
                }
            }
        }
        if let Some((document, workload)) = context.workload() {
            for (port, output) in &workload.spec.outputs {
                let (source, secret) = (&output.from, output.secret);
                uses.push(Use {
                    document,
                    reader: None,
                    port: port.as_str(),
                    section: "outputs",
                    source,
                    schema: None,
                    secret,
                });
            }
        }
        uses
    }

    /// The place of the port's name.
    pub fn port_place(&self) -> Place {
        self.document.key_place(&["spec", self.section, self.port])
    }

    /// The place of a key's value inside of `from`.
    pub fn place(&self, key: &str) -> Place {
        self.document.place(&["spec", self.section, self.port, "from", key])
    }

    /// What a message calls it.
    pub fn subject(&self) -> String {
        match self.reader {
            Some((role, _)) => format!("the input `{}` of role {role}", self.port),
            None => format!("the output `{}` of the workload", self.port),
        }
    }

    /// Whether the reader has a node of its own.
    pub fn has_node(&self) -> bool {
        self.reader.is_some_and(|(_, manifest)| manifest.spec.scope.has_node())
    }
}
