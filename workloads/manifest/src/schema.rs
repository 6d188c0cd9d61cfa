//! The JSON Schemas of the documents, generated from the Rust types: for editors (committed in `workloads/schemas/`) and for
//! the first half of the linter, `shape.rs`. Nothing about meaning is here.

use rebar_model::{API_VERSION, RoleManifest, WorkloadManifest};
use serde_json::{Map, Value, json};

/// The schema of `workload.yaml`.
pub fn workload() -> Value {
    finish(schemars::schema_for!(WorkloadManifest).to_value(), "workload", "Workload")
}

/// The schema of `role.yaml`.
pub fn role() -> Value {
    finish(schemars::schema_for!(RoleManifest).to_value(), "role", "Role")
}

/// A schema as it is written to a file.
pub fn to_text(schema: &Value) -> String {
    // Serializing a value cannot fail; its maps are ordered, so that the text is the same every time.
    serde_json::to_string_pretty(schema).unwrap_or_default() + "\n"
}

/// What the types cannot say.
fn finish(mut schema: Value, name: &str, kind: &str) -> Value {
    tighten(&mut schema);
    let Some(root) = schema.as_object_mut() else { return schema };
    root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("$id".to_owned(), json!(format!("https://rebar.dev/schema/v1/{name}.json")));
    if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(
            "apiVersion".to_owned(),
            json!({"description": "The version of the format.", "const": API_VERSION}),
        );
        properties.insert("kind".to_owned(), json!({"description": "What the document defines.", "const": kind}));
    }
    if let Some(require) = root.get_mut("$defs").and_then(|it| it.get_mut("Require")).and_then(Value::as_object_mut) {
        require.insert("oneOf".to_owned(), json!([{"required": ["role"]}, {"required": ["capability"]}]));
    }
    if let Some(platforms) = root.get_mut("$defs").and_then(|it| it.get_mut("Platforms")).and_then(Value::as_object_mut)
    {
        platforms.insert("minProperties".to_owned(), json!(1));
    }
    schema
}

/// Goes through a schema: an optional key is left out rather than null, a `schema` is a mapping, maps are closed.
fn tighten(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            without_null(map);
            if map.contains_key("patternProperties") {
                map.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            if let Some(ports) = map.get_mut("properties").and_then(Value::as_object_mut)
                && let Some(value) = ports.get_mut("schema")
            {
                let description = value.get("description").cloned().unwrap_or_default();
                *value = json!({"type": "object", "description": description});
            }
            map.values_mut().for_each(tighten);
        }
        Value::Array(items) => items.iter_mut().for_each(tighten),
        _ => {}
    }
}

/// Takes `null` out of `type`, `enum` and `anyOf`.
fn without_null(map: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|it| it != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(branches)) = map.get_mut("anyOf") {
        branches.retain(|it| it.get("type").is_none_or(|it| it != "null"));
        if let [Value::Object(only)] = branches.as_slice() {
            let only = only.clone();
            map.remove("anyOf");
            for (key, value) in only {
                map.entry(key).or_insert(value);
            }
        }
    }
    if map.get("default") == Some(&Value::Null) {
        map.remove("default");
    }
}
