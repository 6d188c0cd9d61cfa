//! What answers here; said to anybody, so it says little.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What answers here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// The version of the engine.
    pub version: String,
    /// The version of the API.
    pub api: String,
}
