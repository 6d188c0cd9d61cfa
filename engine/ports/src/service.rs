//! The port to a service outside the nodes: DNS, addresses, load balancer, PKI. A service takes the whole desired state of what it
//! owns and makes it so; there are no increments, so that it can be repeated after any failure.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rebar_model::{BuiltinAction, Ident, Resource, ResourceId};
use serde_json::Value;

/// A service outside the nodes.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// The kinds of resource that it makes.
    fn actions(&self) -> &'static [BuiltinAction];

    /// Makes the world outside equal to `desired`, which is everything of these kinds that should exist. What is not in it is
    /// taken away. Returns what can be observed now; never waits for slow things such as draining connections.
    async fn reconcile(&self, desired: &[Resource]) -> Result<Observed, ServiceError>;

    /// Resolves when a reconcile may observe something new: a drain has ended, a check changed. Cancel safe.
    async fn changed(&self);
}

/// What a service observed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Resources that are there and answer, with the outputs of their role.
    pub ready: BTreeMap<ResourceId, BTreeMap<Ident, Value>>,
    /// Resources that are being made or taken away, with what is waited for. One that is neither desired nor here is gone.
    pub pending: BTreeMap<ResourceId, String>,
    /// Resources that cannot be made as wished, with the reason.
    pub refused: BTreeMap<ResourceId, String>,
}

/// A service that cannot do its work at all.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It cannot be reached or is not running.
    #[error("{service}: {detail}")]
    Unavailable {
        /// Which one.
        service: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// Its own memory failed.
    #[error(transparent)]
    Store(#[from] crate::StoreError),
}
