//! The tokens that operators show to the API.

use jiff::Timestamp;
use rebar_model::{Span, TokenHash};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A token, without itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// What to take it back by: its hash.
    #[schema(value_type = String)]
    pub id: TokenHash,
    /// Whose it is.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is worth nothing any more; none if it lasts.
    pub expires_at: Option<Timestamp>,
    /// Whether it is the one that this request came with.
    pub current: bool,
}

/// A token to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Whose it is: letters, digits and `-_.@`, at most 63.
    pub name: String,
    /// How long it is worth something, as in `30d`; none if it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ttl: Option<Span>,
}

/// A token that was made. Deliberately without `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The token; shown this once.
    pub token: String,
    /// What is kept of it.
    pub view: TokenView,
}
