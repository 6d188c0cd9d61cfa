//! The routes of the services beside the nodes.

use rebar_api::types::ServiceView;

use super::Client;
use crate::failure::Failure;

impl Client {
    /// What a service has: `dns`, `ipam`, `lb`, `pki`.
    pub async fn service(&self, name: &str) -> Result<ServiceView, Failure> {
        self.get(&["services", name]).await
    }
}
