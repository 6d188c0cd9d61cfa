//! What a deployment offers to people.

use rebar_model::Ident;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// How to show outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OutputsQuery {
    /// Shows secrets; who asked for them is written to the log of the engine.
    #[serde(default)]
    pub reveal: bool,
}

/// An output of a deployment. Deliberately without `Debug`, for it may show a secret.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OutputView {
    /// Its name.
    #[schema(value_type = String)]
    pub name: Ident,
    /// The value, where it is known; a secret as `{"secret":true,"fingerprint":…}` unless asked for.
    pub value: Option<Value>,
    /// Whether it is a secret.
    pub secret: bool,
    /// What it is.
    pub description: Option<String>,
    /// Where it comes from, in words.
    pub origin: String,
}
