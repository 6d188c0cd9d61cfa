//! Values that flow between roles are plain JSON; a secret travels as a [`SecretRef`] in its place. Sealing and opening secrets
//! is the store's and the orchestrator's work.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The key under which a reference hides in a JSON object.
const MARK: &str = "$secret";

/// A reference to a sealed value. Equal secrets of one engine have equal references, so that a re-run which gives the same
/// secret changes nothing downstream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretRef(pub String);

impl SecretRef {
    /// The JSON that stands in place of the value.
    pub fn to_value(&self) -> Value {
        json!({ MARK: self.0 })
    }

    /// The reference in a value, if the value is one.
    pub fn from_value(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        match object.get(MARK) {
            Some(Value::String(id)) if object.len() == 1 => Some(Self(id.clone())),
            _ => None,
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All references inside a value, also in arrays and objects.
pub fn secret_refs(value: &Value) -> Vec<SecretRef> {
    if let Some(it) = SecretRef::from_value(value) {
        return vec![it];
    }
    match value {
        Value::Array(items) => items.iter().flat_map(secret_refs).collect(),
        Value::Object(fields) => fields.values().flat_map(secret_refs).collect(),
        _ => Vec::new(),
    }
}
