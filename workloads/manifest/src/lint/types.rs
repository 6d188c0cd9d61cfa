//! What flows fits: the schema of a source against the schema of the input, and secrets only into secrets. Says something
//! only where a value of the source can certainly break the input.

use rebar_model::{GroupField, ParameterSpec, Source, Take};
use serde_json::{Value, json};

use super::{Context, references::fact_type, uses::Use, values::TYPES};
use crate::{Code, Diagnostic, Place};

pub(super) fn check(context: &mut Context<'_>) {
    for each in Use::all(context) {
        if let (Some(target), Some(given)) = (each.schema, source_schema(context, each.source))
            && let Some(why) = mismatch(&given, target)
        {
            let message =
                format!("{} takes {}, its source gives {}", each.subject(), describe(target), describe(&given));
            let mut diagnostic = Diagnostic::error(Code::TypeMismatch, each.port_place(), message).label(why);
            if let Some(help) = take_help(each.source, &given, target) {
                diagnostic = diagnostic.help(help);
            } else {
                diagnostic = diagnostic.help("make the schemas of both ends the same");
            }
            if let Some((place, text)) = origin(context, each.source) {
                diagnostic = diagnostic.note(place, text);
            }
            context.push(diagnostic);
        }
        if !each.secret && is_secret(context, each.source) {
            let message = format!("{} is not secret, its source is", each.subject());
            let mut diagnostic =
                Diagnostic::error(Code::SecretLeak, each.port_place(), message).help("add `secret: true`");
            if let Some((place, text)) = origin(context, each.source) {
                diagnostic = diagnostic.note(place, text);
            }
            context.push(diagnostic);
        }
    }
}

/// The schema of what a source gives, where it is known.
fn source_schema(context: &Context<'_>, source: &Source) -> Option<Value> {
    match source {
        Source::Deployment(name) => Some(context.parameter(name.as_str())?.schema.clone()),
        Source::Node(path) => match fact_type(path)? {
            "array" => Some(json!({"type": "array", "items": {"type": "string"}})),
            simple => Some(json!({"type": simple})),
        },
        Source::Group { field: GroupField::Count, .. } => Some(json!({"type": "integer"})),
        Source::Group { .. } => Some(json!({"type": "array", "items": {"type": "string"}})),
        Source::Role { role, output, take } => {
            let schema = context.manifest(role.as_str())?.spec.outputs.get(output)?.schema.clone();
            Some(match take {
                Take::All | Take::Quorum => json!({"type": "array", "items": schema}),
                Take::ByNode => json!({"type": "object", "additionalProperties": schema}),
                Take::Same | Take::Leader | Take::One | Take::Any => schema,
            })
        }
        Source::Expr(_) | Source::Site(_) | Source::Secret(_) => None,
    }
}

/// Whether what a source gives is a secret. Expressions are looked into by `expressions.rs`.
fn is_secret(context: &Context<'_>, source: &Source) -> bool {
    match source {
        Source::Deployment(name) => context.parameter(name.as_str()).is_some_and(ParameterSpec::is_secret),
        Source::Role { role, output, .. } => {
            context.manifest(role.as_str()).and_then(|it| it.spec.outputs.get(output)).is_some_and(|it| it.secret)
        }
        Source::Secret(_) => true,
        _ => false,
    }
}

/// Where the source is declared.
fn origin(context: &Context<'_>, source: &Source) -> Option<(Place, String)> {
    match source {
        Source::Deployment(name) => {
            let path = ["spec", "inputs", name.as_str()];
            let document = context.workload().map(|it| it.0).filter(|it| it.has(&path))?;
            Some((document.key_place(&path), format!("the parameter `{name}` is declared here")))
        }
        Source::Role { role, output, .. } => {
            let document = &context.draft.role(role.as_str())?.document;
            let place = document.key_place(&["spec", "outputs", output.as_str()]);
            Some((place, format!("the output `{output}` of {role} is declared here")))
        }
        _ => None,
    }
}

/// A help for the most common case: one value where many come, or the other way round.
fn take_help(source: &Source, given: &Value, target: &Value) -> Option<String> {
    let Source::Role { take, .. } = source else { return None };
    let element = given.get("items").or_else(|| given.get("additionalProperties"));
    if take.collects() && element.is_some_and(|it| mismatch(it, target).is_none()) {
        return Some(format!(
            "`take: {}` collects from several nodes; declare {} of it, or take one",
            word(*take),
            container(*take)
        ));
    }
    let items = target.get("items")?;
    (!take.collects() && mismatch(given, items).is_none())
        .then(|| "to collect a list from all nodes, write `take: all`".to_owned())
}

/// The word of a quantifier in YAML.
pub(super) fn word(take: Take) -> &'static str {
    match take {
        Take::Same => "self",
        Take::Leader => "leader",
        Take::One => "one",
        Take::All => "all",
        Take::ByNode => "byNode",
        Take::Any => "any",
        Take::Quorum => "quorum",
    }
}

fn container(take: Take) -> &'static str {
    if take == Take::ByNode { "an object (`additionalProperties`)" } else { "an array (`items`)" }
}

/// The types that a schema allows; `None` if it does not say, or says what is no type.
fn types(schema: &Value) -> Option<Vec<&str>> {
    if let Some(stated) = schema.get("type") {
        let types = match stated {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        return types.iter().all(|it| TYPES.contains(it)).then_some(types);
    }
    let values: Vec<&Value> = match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(values)), _) => values.iter().collect(),
        (_, Some(value)) => vec![value],
        _ => return None,
    };
    Some(values.into_iter().map(type_of).collect())
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(it) if it.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The values that a schema allows, if it lists them.
fn values(schema: &Value) -> Option<Vec<&Value>> {
    match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(values)), _) => Some(values.iter().collect()),
        (_, Some(value)) => Some(vec![value]),
        _ => None,
    }
}

/// Why a value of `given` can break `target`; `None` where that is not certain.
pub(super) fn mismatch(given: &Value, target: &Value) -> Option<String> {
    if let (Some(given), Some(target)) = (types(given), types(target)) {
        let fits = |it: &&str| target.contains(it) || (*it == "integer" && target.contains(&"number"));
        if let Some(bad) = given.iter().find(|it| !fits(it)) {
            return Some(format!("a value of type {bad} does not fit {}", target.join(" or ")));
        }
    }
    if let (Some(given), Some(target)) = (values(given), values(target))
        && let Some(bad) = given.iter().find(|it| !target.contains(it))
    {
        return Some(format!("the value {bad} is not allowed here"));
    }
    if let (Some(given), Some(target)) = (format(given), format(target))
        && given != target
    {
        return Some(format!("the format {given} is not {target}"));
    }
    for key in ["items", "additionalProperties"] {
        if let (Some(given @ Value::Object(_)), Some(target @ Value::Object(_))) = (given.get(key), target.get(key))
            && let Some(why) = mismatch(given, target)
        {
            return Some(why);
        }
    }
    let properties = |it: &Value| it.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let wanted = properties(target);
    properties(given).iter().find_map(|(key, schema)| mismatch(schema, wanted.get(key)?))
}

fn format(schema: &Value) -> Option<&str> {
    schema.get("format").and_then(Value::as_str)
}

/// A schema in a few words.
fn describe(schema: &Value) -> String {
    let items =
        |key: &str| schema.get(key).and_then(types).map(|it| format!(" of {}", it.join("|"))).unwrap_or_default();
    match types(schema) {
        Some(types) if types == ["array"] => format!("array{}", items("items")),
        Some(types) if types == ["object"] => format!("object{}", items("additionalProperties")),
        Some(types) => types.join("|"),
        None => "anything".to_owned(),
    }
}
