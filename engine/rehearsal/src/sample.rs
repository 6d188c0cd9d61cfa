//! Values made up for JSON Schemas: what the schema names (`const`, `enum`, `default`, `examples`) before what its type allows. What
//! is made is checked against the schema, so that a value which nothing could be made for is told as that.

use std::{cell::Cell, fmt::Display};

use serde_json::{Map, Value, json};

use crate::{
    chance::Chance,
    limits::{MAX_DEPTH, MAX_STEPS, MAX_TEXT},
    pattern,
};

/// What a value is for: equal ones get equal values.
#[derive(Clone, Copy)]
pub(crate) struct Purpose<'a> {
    /// The chance of the rehearsal.
    pub chance: Chance,
    /// Its name, as a part of texts that are made up.
    pub name: &'a str,
    /// Of whom, so that two nodes get two values.
    pub of: &'a dyn Display,
}

/// A value for a schema.
pub(crate) fn sample(schema: &Value, purpose: Purpose<'_>) -> Result<Value, String> {
    let validator = jsonschema::validator_for(schema).map_err(|error| format!("its schema is wrong: {error}"))?;
    let value = Maker { root: schema, purpose, left: &Cell::new(MAX_STEPS) }.make(schema, 0)?;
    match validator.validate(&value) {
        Ok(()) => Ok(value),
        Err(error) => Err(format!("what was made up for its schema does not match it: {error}")),
    }
}

struct Maker<'a> {
    root: &'a Value,
    purpose: Purpose<'a>,
    /// The steps that may still be taken, by all makers of a value.
    left: &'a Cell<u32>,
}

impl Maker<'_> {
    fn step(&self) -> Result<(), String> {
        let left = self.left.get().checked_sub(1).ok_or("its schema asks for too much to be made up")?;
        self.left.set(left);
        Ok(())
    }

    fn make(&self, schema: &Value, depth: u32) -> Result<Value, String> {
        self.step()?;
        if depth > MAX_DEPTH {
            return Err("its schema goes deeper than can be followed".to_owned());
        }
        let schema = self.resolved(schema, depth)?;
        let Some(schema) = schema.as_object() else { return Ok(self.text("").into()) };
        if let Some(named) = named(schema) {
            return Ok(named);
        }
        if let Some(choices) = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array) {
            let rest: Map<String, Value> =
                schema.iter().filter(|(key, _)| !matches!(key.as_str(), "oneOf" | "anyOf")).map(copied).collect();
            let made = choices.iter().find_map(|it| self.make(&merged(&rest, it), depth + 1).ok());
            return made.ok_or_else(|| "none of its `oneOf` or `anyOf` can be made".to_owned());
        }
        match kind(schema) {
            "null" => Ok(Value::Null),
            "boolean" => Ok(true.into()),
            "integer" => Ok(integer(schema)),
            "number" => Ok(number(schema)),
            "array" => self.array(schema, depth),
            "object" => self.object(schema, depth),
            _ => self.string(schema),
        }
    }

    /// A schema with its local references and its `allOf` put in place.
    fn resolved(&self, schema: &Value, depth: u32) -> Result<Value, String> {
        self.step()?;
        let Some(fields) = schema.as_object() else { return Ok(schema.clone()) };
        let mut out: Map<String, Value> =
            fields.iter().filter(|(key, _)| !matches!(key.as_str(), "$ref" | "allOf")).map(copied).collect();
        if depth > MAX_DEPTH {
            return Err("its schema refers to itself".to_owned());
        }
        let mut parts: Vec<&Value> = fields.get("allOf").and_then(Value::as_array).into_iter().flatten().collect();
        if let Some(place) = fields.get("$ref").and_then(Value::as_str) {
            let pointer = place.strip_prefix('#').and_then(|it| self.root.pointer(it));
            parts.push(pointer.ok_or_else(|| format!("its schema refers to `{place}`, which is not in it"))?);
        }
        for part in parts {
            let Value::Object(merged) = merged(&out, &self.resolved(part, depth + 1)?) else { continue };
            out = merged;
        }
        Ok(Value::Object(out))
    }

    fn array(&self, schema: &Map<String, Value>, depth: u32) -> Result<Value, String> {
        let first: Vec<&Value> = schema.get("prefixItems").and_then(Value::as_array).into_iter().flatten().collect();
        let least = limit(schema, "minItems").unwrap_or(1).max(first.len() as u64);
        let count = least.min(limit(schema, "maxItems").unwrap_or(u64::MAX));
        let any = json!({"type": "string"});
        let items = schema.get("items").unwrap_or(&any);
        let make = |place: u64| {
            let of = format!("{} {place}", self.purpose.of);
            let purpose = Purpose { of: &of, ..self.purpose };
            let schema = usize::try_from(place).ok().and_then(|it| first.get(it).copied()).unwrap_or(items);
            Maker { purpose, ..*self }.make(schema, depth + 1)
        };
        Ok(Value::Array((0..count).map(make).collect::<Result<_, _>>()?))
    }

    fn object(&self, schema: &Map<String, Value>, depth: u32) -> Result<Value, String> {
        let mut out = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            let purpose = Purpose { name, ..self.purpose };
            out.insert(name.clone(), Maker { purpose, ..*self }.make(schema, depth + 1)?);
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !out.contains_key(name) {
                out.insert(name.to_owned(), self.text(name).into());
            }
        }
        Ok(Value::Object(out))
    }

    fn string(&self, schema: &Map<String, Value>) -> Result<Value, String> {
        let least = usize::try_from(limit(schema, "minLength").unwrap_or(0)).unwrap_or(usize::MAX);
        if let Some(expression) = schema.get("pattern").and_then(Value::as_str) {
            return Ok(pattern::text(expression, least, self.draws("pattern"))?.into());
        }
        if let Some(text) = schema.get("format").and_then(Value::as_str).and_then(|it| self.format(it)) {
            return Ok(text.into());
        }
        let mut text = self.text("");
        let missing = least.min(MAX_TEXT).saturating_sub(text.chars().count());
        text.extend(std::iter::repeat_n('0', missing));
        let most = limit(schema, "maxLength").and_then(|it| usize::try_from(it).ok()).unwrap_or(usize::MAX);
        Ok(text.chars().take(most).collect::<String>().into())
    }

    /// A text of a format that JSON Schema knows.
    fn format(&self, format: &str) -> Option<String> {
        let draws = self.draws("format");
        let hex = |range: std::ops::Range<usize>| hex::encode(&draws[range]);
        let name = self.text("");
        Some(match format {
            // The networks that are kept for examples.
            "ipv4" => format!("198.51.100.{}", draws[0]),
            "ipv6" => format!("2001:db8::{}", hex(0..2)),
            "hostname" | "idn-hostname" => format!("{name}.example.com"),
            "email" | "idn-email" => format!("{name}@example.com"),
            "uri" | "url" | "iri" | "uri-reference" => format!("https://{name}.example.com/"),
            "uuid" => format!("{}-{}-4{}-8{}-{}", hex(0..4), hex(4..6), &hex(6..8)[1..], &hex(8..10)[1..], hex(10..16)),
            "date-time" => "2000-01-01T00:00:00Z".to_owned(),
            "date" => "2000-01-01".to_owned(),
            "time" => "00:00:00Z".to_owned(),
            "duration" => "PT1M".to_owned(),
            _ => return None,
        })
    }

    /// A text that shows what it is for.
    fn text(&self, more: &str) -> String {
        let draws = self.draws(more);
        let tail = hex::encode(&draws[..4]);
        let name = if more.is_empty() { self.purpose.name } else { more };
        format!("{}-{tail}", name.replace('_', "-"))
    }

    fn draws(&self, more: &str) -> [u8; 32] {
        self.purpose.chance.bytes("value", &[self.purpose.of, &self.purpose.name, &more])
    }
}

/// The value that a schema names.
fn named(schema: &Map<String, Value>) -> Option<Value> {
    let first = |key: &str| schema.get(key).and_then(Value::as_array).and_then(|it| it.first()).cloned();
    let default = || schema.get("default").cloned();
    schema.get("const").cloned().or_else(default).or_else(|| first("examples")).or_else(|| first("enum"))
}

/// Two schemas in one; keys of the second win.
fn merged(first: &Map<String, Value>, second: &Value) -> Value {
    let mut out = first.clone();
    for (key, value) in second.as_object().into_iter().flatten() {
        match (out.get_mut(key), value) {
            (Some(Value::Object(have)), Value::Object(more)) => have.extend(more.clone()),
            (Some(Value::Array(have)), Value::Array(more)) if key == "required" => have.extend(more.clone()),
            _ => drop(out.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(out)
}

fn copied((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// The type of the value: the first that is not null, or what its keywords are about.
fn kind(schema: &Map<String, Value>) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|it| *it != "null").unwrap_or("null"),
        _ if schema.contains_key("properties") || schema.contains_key("required") => "object",
        _ if schema.contains_key("items") || schema.contains_key("prefixItems") => "array",
        _ if schema.contains_key("minimum") || schema.contains_key("maximum") => "integer",
        _ => "string",
    }
}

fn limit(schema: &Map<String, Value>, key: &str) -> Option<u64> {
    schema.get(key).and_then(Value::as_u64)
}

fn integer(schema: &Map<String, Value>) -> Value {
    let least = schema.get("minimum").and_then(Value::as_f64).map(f64::ceil);
    let above = schema.get("exclusiveMinimum").and_then(Value::as_f64).map(|it| it.floor() + 1.0);
    let most = schema.get("maximum").and_then(Value::as_f64).map(f64::floor);
    let below = schema.get("exclusiveMaximum").and_then(Value::as_f64).map(|it| it.ceil() - 1.0);
    let step = schema.get("multipleOf").and_then(Value::as_f64).filter(|it| *it > 0.0).unwrap_or(1.0);
    let start = least.or(above).unwrap_or_else(|| most.or(below).unwrap_or(1.0).min(1.0));
    let value = (start / step).ceil() * step;
    #[expect(clippy::cast_possible_truncation, reason = "casts of floats saturate, and the schema checks the value")]
    let whole = value as i64;
    whole.into()
}

fn number(schema: &Map<String, Value>) -> Value {
    let least = schema.get("minimum").and_then(Value::as_f64);
    let above = schema.get("exclusiveMinimum").and_then(Value::as_f64);
    let most = schema.get("maximum").or_else(|| schema.get("exclusiveMaximum")).and_then(Value::as_f64);
    if schema.contains_key("multipleOf") {
        return integer(schema);
    }
    json!(match (least, above, most) {
        (Some(least), _, _) => least,
        (None, Some(above), Some(most)) => f64::midpoint(above, most),
        (None, Some(above), None) => above + 1.0,
        (None, None, Some(most)) => most.min(1.0) - 0.5,
        (None, None, None) => 1.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(schema: &Value, of: &str) -> Result<Value, String> {
        sample(schema, Purpose { chance: Chance::new(5), name: "node_id", of: &of })
    }

    #[test]
    fn values_match_their_schemas() {
        for schema in [
            json!({"type": "string"}),
            json!({"type": "string", "minLength": 40}),
            json!({"type": "string", "maxLength": 3}),
            json!({"type": "string", "pattern": "^[0-9a-f]{12}$"}),
            json!({"type": "string", "format": "ipv4"}),
            json!({"type": "string", "format": "uuid"}),
            json!({"type": "integer", "minimum": 10, "multipleOf": 4}),
            json!({"type": "integer", "maximum": -3}),
            json!({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}),
            json!({"type": ["null", "boolean"]}),
            json!({"enum": ["a", "b"]}),
            json!({"const": {"a": 1}}),
            json!({"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": true}),
            json!({"type": "array", "maxItems": 0}),
            json!({"type": "object", "properties": {"port": {"type": "integer", "minimum": 1}}, "required": ["port", "name"]}),
            json!({"$defs": {"p": {"type": "integer", "minimum": 7}}, "allOf": [{"$ref": "#/$defs/p"}, {"maximum": 9}]}),
            json!({"oneOf": [{"type": "string", "pattern": "^(?=x)$"}, {"type": "integer"}]}),
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({}),
            json!(true),
        ] {
            made(&schema, "a").map_err(|error| format!("{schema}: {error}")).unwrap();
        }
    }

    #[test]
    fn what_the_author_names_is_taken() {
        assert_eq!(made(&json!({"type": "string", "examples": ["10.0.0.0/24"]}), "a").unwrap(), "10.0.0.0/24");
        assert_eq!(made(&json!({"type": "integer", "default": 8}), "a").unwrap(), 8);
    }

    #[test]
    fn equal_purposes_get_equal_values() {
        let schema = json!({"type": "string"});
        assert_eq!(made(&schema, "n1"), made(&schema, "n1"));
        assert_ne!(made(&schema, "n1"), made(&schema, "n2"));
    }

    #[test]
    fn schemas_are_followed_so_deep() {
        let leaf = json!({"type": "boolean"});
        let nested = |levels: u32| (0..levels).fold(leaf.clone(), |it, _| json!({"type": "array", "items": it}));
        assert!(made(&nested(MAX_DEPTH), "a").is_ok());
        assert!(made(&nested(MAX_DEPTH + 1), "a").unwrap_err().contains("deeper"));
        let referred = |steps: u32| {
            let place = |at: u32| json!({"$ref": format!("#/$defs/d{at}")});
            let mut defs: Map<String, Value> = (1..steps).map(|it| (format!("d{it}"), place(it + 1))).collect();
            defs.insert(format!("d{steps}"), leaf.clone());
            json!({"$ref": "#/$defs/d1", "$defs": defs})
        };
        assert_eq!(made(&referred(MAX_DEPTH), "a"), Ok(true.into()));
        assert!(made(&referred(MAX_DEPTH + 1), "a").unwrap_err().contains("refers to itself"));
    }

    #[test]
    fn a_value_is_made_in_so_many_steps() {
        // The list and each of its items are a place in the schema and a piece of the value.
        let list = |steps: u32| json!({"type": "array", "items": {"type": "boolean"}, "minItems": steps / 2 - 1});
        let made = |schema: &Value| made(schema, "a");
        assert_eq!(made(&list(MAX_STEPS)).unwrap().as_array().map(Vec::len), Some(MAX_STEPS as usize / 2 - 1));
        assert!(made(&list(MAX_STEPS + 2)).unwrap_err().contains("too much"));
        let tower = (0..9).fold(json!(true), |it, _| json!({"type": "array", "items": it, "minItems": 1_000_000}));
        assert!(made(&tower).unwrap_err().contains("too much"));
    }

    #[test]
    fn a_text_is_as_long_as_it_may_be() {
        let length = |length: usize| made(&json!({"type": "string", "minLength": length}), "a");
        assert_eq!(length(MAX_TEXT).unwrap().as_str().map(str::len), Some(MAX_TEXT));
        assert!(length(MAX_TEXT + 1).is_err());
    }

    #[test]
    fn what_cannot_be_made_is_told() {
        for schema in
            [json!(false), json!({"not": {}}), json!({"type": "string", "pattern": "^(?!a).*$"}), json!({"$ref": "#"})]
        {
            assert!(made(&schema, "a").is_err(), "{schema}");
        }
    }
}
