//! Secrets as people see them: that there is one, and a fingerprint to tell two apart.

use rebar_model::{SecretRef, secret_refs};
use serde_json::{Value, json};

use crate::error::ApiError;

/// Digits of a reference that people see.
const FINGERPRINT: usize = 8;

/// A value with its secrets masked, also inside of arrays and objects.
pub(crate) fn mask(value: &Value) -> Value {
    replace(value, &|reference| {
        let fingerprint: String = reference.0.chars().take(FINGERPRINT).collect();
        json!({"secret": true, "fingerprint": fingerprint})
    })
}

/// A value with something else in place of its secrets.
pub(crate) fn replace(value: &Value, with: &dyn Fn(&SecretRef) -> Value) -> Value {
    if let Some(reference) = SecretRef::from_value(value) {
        return with(&reference);
    }
    match value {
        Value::Array(items) => items.iter().map(|it| replace(it, with)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, it)| (name.clone(), replace(it, with))).collect(),
        _ => value.clone(),
    }
}

/// Whether a value is, or holds, a secret.
pub(crate) fn is_secret(value: &Value) -> bool {
    !secret_refs(value).is_empty()
}

/// Refuses values from outside that hold references: whoever could write one could have any role read any secret.
pub(crate) fn refuse_references(value: &Value) -> Result<(), ApiError> {
    if is_secret(value) { Err(ApiError::SecretReference) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_at_any_depth() {
        let value = json!({"a": [{"$secret": "0123456789abcdef"}], "b": 1});
        assert_eq!(mask(&value), json!({"a": [{"secret": true, "fingerprint": "01234567"}], "b": 1}));
        assert!(refuse_references(&value).is_err() && refuse_references(&json!({"$secret": 1})).is_ok());
    }
}
