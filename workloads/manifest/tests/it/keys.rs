//! What keys the schemas have, by the object that they belong to, and which of them a document uses. The objects are called as the
//! schemas call them; a runner also by its type, as in `Runner.script`.

use std::collections::{BTreeMap, BTreeSet};

use rebar_manifest::schema;
use serde_json::Value;

/// Keys by their object.
pub type Keys = BTreeMap<String, BTreeSet<String>>;

/// A document of the format.
pub struct Form {
    name: &'static str,
    schema: Value,
}

/// Both documents.
pub fn forms() -> [Form; 2] {
    [Form { name: "workload.yaml", schema: schema::workload() }, Form { name: "role.yaml", schema: schema::role() }]
}

impl Form {
    /// The file that it is the form of, without its directory.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Every key.
    pub fn keys(&self) -> Keys {
        let mut keys = Keys::new();
        collect(self.name, &self.schema, &mut keys);
        for (name, definition) in self.schema["$defs"].as_object().unwrap() {
            collect(name, definition, &mut keys);
        }
        keys
    }

    /// Every value that is one of a few.
    pub fn choices(&self) -> BTreeSet<String> {
        let definitions = self.schema["$defs"].as_object().unwrap().values();
        let branches = definitions.filter_map(|it| it["oneOf"].as_array()).flatten();
        let constants = branches.flat_map(|it| [it.get("const"), it["properties"]["type"].get("const")]);
        constants.flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The schemas of a key's value, ready for use.
    pub fn schemas(&self, object: &str, key: &str) -> Vec<Value> {
        let found = self.objects(object).into_iter().filter_map(|it| it["properties"].get(key).cloned());
        let with_definitions = |mut schema: Value| {
            schema["$defs"] = self.schema["$defs"].clone();
            schema
        };
        found.map(with_definitions).collect()
    }

    /// Whether a key has to be there.
    pub fn requires(&self, object: &str, key: &str) -> bool {
        let required = |it: &Value| it["required"].as_array().is_some_and(|it| it.iter().any(|it| it == key));
        self.objects(object).into_iter().any(required)
    }

    /// The forms of an object.
    fn objects(&self, object: &str) -> Vec<&Value> {
        let definitions = self.schema["$defs"].as_object().unwrap().iter();
        let all = definitions.flat_map(|(name, it)| parts(name, it)).chain(parts(self.name, &self.schema));
        all.filter(|(name, _)| name == object).map(|(_, it)| it).collect()
    }

    /// The keys that a document uses.
    pub fn used(&self, document: &Value, keys: &mut Keys) {
        self.visit(self.name, &self.schema, document, keys);
    }

    fn visit(&self, owner: &str, schema: &Value, value: &Value, keys: &mut Keys) {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let name = name.strip_prefix("#/$defs/").unwrap();
            return self.visit(name, &self.schema["$defs"][name], value, keys);
        }
        match value {
            Value::Array(items) => items.iter().for_each(|it| self.visit(owner, &schema["items"], it, keys)),
            Value::Object(map) => {
                let fits = |(_, part): &&(String, &Value)| {
                    let tag = part["properties"]["type"].get("const");
                    tag.is_none_or(|it| map.get("type") == Some(it)) && map.keys().all(|key| inner(part, key).is_some())
                };
                let Some((owner, part)) = parts(owner, schema).iter().find(fits).cloned() else { return };
                for (key, value) in map {
                    if part["properties"].get(key).is_some() {
                        keys.entry(owner.clone()).or_default().insert(key.clone());
                    }
                    self.visit(&owner, inner(part, key).unwrap(), value, keys);
                }
            }
            _ => {}
        }
    }
}

/// The keys of an object's forms.
fn collect(owner: &str, schema: &Value, keys: &mut Keys) {
    for (name, part) in parts(owner, schema) {
        let found: Vec<String> = part["properties"].as_object().into_iter().flatten().map(|it| it.0.clone()).collect();
        if !found.is_empty() {
            keys.entry(name).or_default().extend(found);
        }
    }
}

/// The schema of a key's value.
fn inner<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let of_map = || {
        let patterns = schema["patternProperties"].as_object().and_then(|it| it.values().next());
        patterns.or_else(|| schema.get("additionalProperties").filter(|it| it.is_object()))
    };
    schema["properties"].get(key).or_else(of_map)
}

/// The forms that an object takes: itself, or each of its alternatives.
fn parts<'a>(owner: &str, schema: &'a Value) -> Vec<(String, &'a Value)> {
    if schema.get("properties").is_some() || schema.get("oneOf").is_none() {
        return vec![(owner.to_owned(), schema)];
    }
    let branches = schema["oneOf"].as_array().unwrap().iter();
    let named = |branch: &'a Value| match branch["properties"]["type"]["const"].as_str() {
        Some(tag) => (format!("{owner}.{tag}"), branch),
        None => (owner.to_owned(), branch),
    };
    branches.map(named).collect()
}
