//! Bodies: the JSON of the model's types as text.

use rebar_ports::StoreError;
use serde::{Serialize, de::DeserializeOwned};

/// The JSON of a value.
pub(crate) fn write<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt(what, &error))
}

/// The value of some JSON.
pub(crate) fn read<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(what, &error))
}

/// Something stored that cannot be read.
pub(crate) fn corrupt(what: &'static str, detail: &impl ToString) -> StoreError {
    StoreError::Corrupt { what, detail: detail.to_string() }
}
