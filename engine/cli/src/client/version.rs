//! The route that says what answers.

use rebar_api::types::VersionView;

use super::Client;
use crate::failure::Failure;

impl Client {
    /// What answers.
    pub async fn version(&self) -> Result<VersionView, Failure> {
        self.get(&["version"]).await
    }
}
