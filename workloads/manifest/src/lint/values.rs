//! Schemas that authors write, and the values that have to fit them: defaults, examples, values of topologies. Secrets have no
//! literal values.

use std::collections::BTreeMap;

use jsonschema::Validator;
use rebar_model::ParameterSpec;
use serde_json::{Map, Value};

use super::Context;
use crate::{
    Code, Diagnostic, Place,
    diagnostic::closest,
    document::Document,
    words::{refs, segments},
};

/// The types of JSON Schema.
pub(super) const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];
/// Keywords whose misspelling would silently check nothing.
const KEYWORDS: [&str; 40] = [
    "$comment",
    "$defs",
    "$id",
    "$ref",
    "$schema",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "default",
    "dependentRequired",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "required",
    "type",
];

pub(super) fn check(context: &mut Context<'_>) {
    for (role, document, manifest) in context.draft.typed() {
        for (name, input) in &manifest.spec.inputs {
            let path = ["spec", "inputs", name.as_str()];
            let subject = format!("input `{name}` of role {role}");
            let port = Port { document, path: &path, subject: &subject };
            let validator = port.validator(context, &input.schema);
            port.values(context, validator.as_ref(), input.default.as_ref(), &input.examples);
            if input.is_secret() && input.default.is_some() {
                port.secret_default(context);
            }
        }
        for (name, output) in &manifest.spec.outputs {
            let path = ["spec", "outputs", name.as_str()];
            let subject = format!("output `{name}` of role {role}");
            Port { document, path: &path, subject: &subject }.validator(context, &output.schema);
        }
    }
    parameters(context);
}

/// The parameters of the workload, and the values that topologies give them.
fn parameters(context: &mut Context<'_>) {
    let Some((document, workload)) = context.workload() else { return };
    let mut validators = BTreeMap::new();
    for (name, parameter) in &workload.spec.inputs {
        let path = ["spec", "inputs", name.as_str()];
        let subject = format!("parameter `{name}`");
        let port = Port { document, path: &path, subject: &subject };
        let validator = port.validator(context, &parameter.schema);
        port.values(context, validator.as_ref(), parameter.default.as_ref(), &parameter.examples);
        if parameter.is_secret() && parameter.default.is_some() {
            port.secret_default(context);
        }
        validators.insert(name, validator);
    }
    // What is taken over has been looked at in its own package.
    for (name, parameter) in context.draft.taken().flat_map(|(_, it)| &it.spec.inputs) {
        validators.entry(name).or_insert_with(|| build(&parameter.schema).ok());
    }
    for (name, topology) in &workload.spec.topologies {
        for (parameter, value) in &topology.inputs {
            let path = ["spec", "topologies", name, "inputs", parameter.as_str()];
            if let Some(Some(validator)) = validators.get(parameter) {
                let subject = format!("the value of `{parameter}` in the topology {name}");
                fits(context, document, &path, validator, value, &subject);
            }
            if context.parameter(parameter.as_str()).is_some_and(ParameterSpec::is_secret) {
                let message = format!("the topology {name} holds a value of the secret parameter `{parameter}`");
                let help = "take it away; secrets are set on a deployment";
                context.push(Diagnostic::error(Code::SecretDefault, document.place(&path), message).help(help));
            }
        }
    }
}

/// A schema ready for use.
fn build(schema: &Value) -> Result<Validator, jsonschema::ValidationError<'static>> {
    jsonschema::options().with_draft(jsonschema::Draft::Draft202012).should_validate_formats(true).build(schema)
}

/// A port or parameter with a schema of its own.
struct Port<'a> {
    document: &'a Document,
    path: &'a [&'a str],
    subject: &'a str,
}

impl Port<'_> {
    fn at(&self, below: &[&str]) -> Place {
        self.document.place(&[self.path, below].concat())
    }

    /// The schema ready for use; says so if it is none.
    fn validator(&self, context: &mut Context<'_>, schema: &Value) -> Option<Validator> {
        let mut path: Vec<String> = self.path.iter().map(|it| (*it).to_owned()).collect();
        path.push("schema".to_owned());
        let before = context.found.len();
        if let Value::Object(map) = schema {
            self.misspelt(context, map, &mut path);
        }
        match build(schema) {
            Ok(validator) => Some(validator),
            Err(error) => {
                if context.found.len() == before {
                    path.extend(segments(error.instance_path().as_str()));
                    let place = self.document.place(&refs(&path));
                    let message = format!("the schema of {} is not valid: {error}", self.subject);
                    let help = "schemas are JSON Schema 2020-12, such as {type: string}";
                    context.push(Diagnostic::error(Code::BadSchema, place, message).help(help));
                }
                None
            }
        }
    }

    /// Types and keywords that are none.
    fn misspelt(&self, context: &mut Context<'_>, schema: &Map<String, Value>, path: &mut Vec<String>) {
        for (key, value) in schema {
            path.push(key.clone());
            match (key.as_str(), value) {
                ("type", Value::String(text)) if !TYPES.contains(&text.as_str()) => {
                    let message = format!("`{text}` is not a type of JSON Schema");
                    let help = format!("types are {}", TYPES.join(", "));
                    let near = closest(text, TYPES).or_else(|| alias(text));
                    let place = self.document.place(&refs(path));
                    context.push(Diagnostic::error(Code::BadSchema, place, message).help(help).suggest(near));
                }
                ("properties" | "patternProperties" | "$defs", Value::Object(map)) => {
                    for (name, schema) in map {
                        path.push(name.clone());
                        if let Value::Object(schema) = schema {
                            self.misspelt(context, schema, path);
                        }
                        path.pop();
                    }
                }
                ("items" | "additionalProperties" | "not" | "contains" | "propertyNames", Value::Object(schema)) => {
                    self.misspelt(context, schema, path);
                }
                (other, _) if !KEYWORDS.contains(&other) && closest(other, KEYWORDS).is_some() => {
                    let message = format!("`{other}` is not a keyword of JSON Schema and checks nothing");
                    let place = self.document.key_place(&refs(path));
                    let help = "correct it, or take it away";
                    let near = closest(other, KEYWORDS);
                    context.push(Diagnostic::error(Code::BadSchema, place, message).help(help).suggest(near));
                }
                _ => {}
            }
            path.pop();
        }
    }

    /// Default and examples fit the schema.
    fn values(
        &self,
        context: &mut Context<'_>,
        validator: Option<&Validator>,
        default: Option<&Value>,
        examples: &[Value],
    ) {
        let Some(validator) = validator else { return };
        if let Some(default) = default {
            let path = [self.path, &["default"]].concat();
            fits(context, self.document, &path, validator, default, &format!("the default of {}", self.subject));
        }
        for (at, example) in examples.iter().enumerate() {
            let at = at.to_string();
            let path = [self.path, &["examples", &at]].concat();
            fits(context, self.document, &path, validator, example, &format!("an example of {}", self.subject));
        }
    }

    /// Whoever can read the package could read the secret.
    fn secret_default(&self, context: &mut Context<'_>) {
        let message = format!("the secret {} has a literal default", self.subject);
        let help = "take the default away: set the secret on the deployment, or make it in a role and take its output";
        context.push(Diagnostic::error(Code::SecretDefault, self.at(&["default"]), message).help(help));
    }
}

/// A value fits a schema; each difference is said at its own place.
fn fits(
    context: &mut Context<'_>,
    document: &Document,
    path: &[&str],
    validator: &Validator,
    value: &Value,
    subject: &str,
) {
    for error in validator.iter_errors(value) {
        let inner = segments(error.instance_path().as_str());
        let full: Vec<&str> = path.iter().copied().chain(inner.iter().map(String::as_str)).collect();
        let message = format!("{subject} breaks its schema: {error}");
        let quote = matches!(error.instance().as_ref(), Value::Number(_) | Value::Bool(_))
            && matches!(error.kind(), jsonschema::error::ValidationErrorKind::Type { kind: jsonschema::error::TypeKind::Single(it) } if it.to_string() == "string");
        let help = if quote { "quote it, if a text is meant" } else { "change the value or the schema" };
        context.push(Diagnostic::error(Code::BadDefault, document.place(&full), message).help(help));
    }
}

/// What other languages call the types.
fn alias(text: &str) -> Option<String> {
    let name = match text {
        "str" | "text" => "string",
        "int" | "long" => "integer",
        "float" | "double" => "number",
        "bool" => "boolean",
        "list" => "array",
        "map" | "dict" | "hash" => "object",
        _ => return None,
    };
    Some(name.to_owned())
}
