//! Where the value of an input comes from, through every hop.

use jiff::Timestamp;
use rebar_model::{Actor, AttemptId, Ident, NodeRoleId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Which value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WhyQuery {
    /// The node-role, `role@node`.
    pub address: String,
    /// Its input.
    #[param(value_type = String)]
    pub input: Ident,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ValueOrigin {
    /// Of which node-role.
    #[schema(value_type = String)]
    pub id: NodeRoleId,
    /// Which input.
    #[schema(value_type = String)]
    pub input: Ident,
    /// The value, where it is known; of a secret its fingerprint.
    pub value: Option<Value>,
    /// Where it was decided, in words.
    pub origin: String,
    /// The levels that could set it, where it is a parameter; the strongest last.
    pub layers: Vec<ValueLayer>,
    /// The producers, where it is an output.
    #[schema(no_recursion)]
    pub producers: Vec<ValueProducer>,
}

/// One level that could set a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ValueLayer {
    /// The level in words.
    pub level: String,
    /// The value at this level; none if it sets none.
    pub value: Option<Value>,
    /// Who set it, where known.
    #[schema(value_type = Option<String>)]
    pub by: Option<Actor>,
    /// When, where known.
    pub at: Option<Timestamp>,
    /// Whether this is the level that decides.
    pub wins: bool,
}

/// A node-role that produced a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ValueProducer {
    /// Which one.
    #[schema(value_type = String)]
    pub id: NodeRoleId,
    /// Which output.
    #[schema(value_type = String)]
    pub output: Ident,
    /// The value, as above.
    pub value: Option<Value>,
    /// The attempt that gave it.
    #[schema(value_type = Option<u64>)]
    pub attempt: Option<AttemptId>,
    /// Its inputs, one hop further.
    #[schema(no_recursion)]
    pub inputs: Vec<ValueOrigin>,
}
