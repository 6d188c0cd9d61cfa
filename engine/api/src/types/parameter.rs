//! Parameter values that people set, at their levels.

use jiff::Timestamp;
use rebar_model::{Actor, Ident, ParameterScope};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// A value that somebody set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ParameterView {
    /// At which level: `global`, `profile/x`, `deployment/x`, `node/x`.
    #[schema(value_type = String)]
    pub scope: ParameterScope,
    /// Its name.
    #[schema(value_type = String)]
    pub name: Ident,
    /// The value; of a secret `{"secret":true,"fingerprint":…}`.
    pub value: Value,
    /// Whether it is a secret.
    pub secret: bool,
    /// Who set it.
    #[schema(value_type = String)]
    pub by: Actor,
    /// When.
    pub at: Timestamp,
}

/// Which parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ParametersQuery {
    /// Only those of one level: `global`, `profile/x`, `deployment/x`, `node/x`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub scope: Option<ParameterScope>,
    /// At most this many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

/// A value to set. Deliberately without `Debug`.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetParameter {
    /// The value.
    pub value: Value,
    /// Whether to keep it as a secret; one that a workload declares as a secret is kept so in any case.
    #[serde(default)]
    pub secret: bool,
}
