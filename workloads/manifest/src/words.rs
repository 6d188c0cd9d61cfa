//! Words for what a JSON Schema says, as `shape.rs` needs them: types, values, paths and patterns in plain language.

use rebar_model::{Amount, GatePoint, Ident, RoleName, Span};
use serde_json::Value;

/// The longest piece of a value that a message repeats, in characters.
const MAX_SHOWN: usize = 40;

/// The segments of a JSON pointer.
pub(crate) fn segments(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|it| it.replace("~1", "/").replace("~0", "~")).collect()
}

/// A path as `Document` takes it.
pub(crate) fn refs(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// ` in `a.b`` for a path, nothing for the document itself.
pub(crate) fn inside(path: &[String]) -> String {
    if path.is_empty() { String::new() } else { format!(" in `{}`", path.join(".")) }
}

/// What a message speaks about.
pub(crate) fn subject(path: &[String]) -> String {
    if path.is_empty() { "the document".to_owned() } else { format!("`{}`", path.join(".")) }
}

/// A value, as short as a message needs it.
pub(crate) fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() > MAX_SHOWN {
        format!("`{}…`", text.chars().take(MAX_SHOWN).collect::<String>())
    } else {
        format!("`{text}`")
    }
}

/// A JSON type as people say it.
pub(crate) fn type_word(name: &str) -> &'static str {
    match name {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        _ => "empty",
    }
}

/// What a value is, as people say it.
pub(crate) fn value_word(value: &Value) -> String {
    match value {
        Value::Null => "empty".to_owned(),
        Value::Bool(it) => format!("the truth value `{it}`"),
        Value::Number(it) => format!("the number `{it}`"),
        Value::String(_) => format!("the text {}", short(value)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// What to do about a value of the wrong type.
pub(crate) fn type_help(value: &Value, wanted: &[String]) -> Option<String> {
    let wants = |name: &str| wanted.iter().any(|it| it == name);
    match value {
        Value::Null => Some("give it a value, or take the key away".to_owned()),
        Value::Bool(_) | Value::Number(_) if wants("string") => Some(format!("quote it: \"{value}\"")),
        Value::String(text) if wants("boolean") => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" => Some("write `true`: in YAML 1.2 `yes` and `on` are texts".to_owned()),
            "no" | "off" | "n" => Some("write `false`: in YAML 1.2 `no` and `off` are texts".to_owned()),
            _ => Some("write `true` or `false`".to_owned()),
        },
        Value::String(text) if wants("integer") || wants("number") => {
            text.parse::<f64>().is_ok().then(|| "take the quotes away".to_owned())
        }
        Value::String(text) if wants("array") => Some(format!("write a list: [{text}]")),
        _ => None,
    }
}

/// A pattern of our schemas in words.
pub(crate) fn pattern_rule(pattern: &str) -> &'static str {
    if pattern == RoleName::PATTERN {
        "use lower-case letters, digits and single dashes, starting with a letter"
    } else if pattern == Ident::PATTERN {
        "use lower-case letters, digits and underscores, starting with a letter"
    } else if pattern == Span::PATTERN {
        "write a whole number and one of ms, s, m, h, d, as in `90s`"
    } else if pattern == Amount::PATTERN {
        "write a whole number, or a share of a hundred such as `10%`"
    } else if pattern == GatePoint::PATTERN {
        "write `canary`, a share of a hundred such as `25%`, `group:NAME` or `role:NAME`"
    } else {
        "see the schema of the document"
    }
}

/// The keys that a form of a `oneOf` requires.
pub(crate) fn required_keys(form: &Value) -> Vec<&str> {
    form.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The texts that a form of a `oneOf` of constants allows.
pub(crate) fn constants(form: &Value) -> Vec<&str> {
    let single = form.get("const").into_iter();
    let several = form.get("enum").and_then(Value::as_array).into_iter().flatten();
    single.chain(several).filter_map(Value::as_str).collect()
}

/// The key whose constant tells the forms of a `oneOf` apart.
pub(crate) fn tag_of(form: &Value) -> Option<&str> {
    let properties = form.get("properties")?.as_object()?;
    properties.iter().find(|(_, schema)| schema.get("const").is_some()).map(|(key, _)| key.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_repeated_up_to_a_length() {
        let text = |length: usize| Value::String("ä".repeat(length));
        assert_eq!(short(&text(MAX_SHOWN)), format!("`{}`", "ä".repeat(MAX_SHOWN)));
        assert_eq!(short(&text(MAX_SHOWN + 1)), format!("`{}…`", "ä".repeat(MAX_SHOWN)));
        let list = Value::Array(vec![Value::Null; MAX_SHOWN]);
        assert_eq!(short(&list).chars().count(), MAX_SHOWN + "`…`".chars().count());
    }
}
