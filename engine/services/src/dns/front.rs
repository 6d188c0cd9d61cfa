//! What every query meets first: names of our zones are answered from the zones of this moment, others are handed to the forwarder
//! or refused. The zones are exchanged as a whole, so that no query sees half of a change.

use std::sync::{Arc, PoisonError, RwLock};

use hickory_net::runtime::Time;
use hickory_proto::op::{MessageType, OpCode};
use hickory_server::{
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::Catalog,
};

use super::forward::Forwarder;

/// The zones of this moment, shared by the server and the service.
#[derive(Clone, Default)]
pub(crate) struct Live(Arc<RwLock<Arc<Catalog>>>);

impl Live {
    /// The zones of this moment.
    pub(crate) fn now(&self) -> Arc<Catalog> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Exchanges all zones at once.
    pub(crate) fn exchange(&self, catalog: Catalog) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
    }
}

/// What every query meets first.
pub(crate) struct Front {
    pub(crate) live: Live,
    pub(crate) forwarder: Option<Forwarder>,
}

#[async_trait::async_trait]
impl RequestHandler for Front {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, response: R) -> ResponseInfo {
        let catalog = self.live.now();
        if let Some(forwarder) = &self.forwarder
            && let Ok(info) = request.request_info()
            && info.metadata.message_type == MessageType::Query
            && info.metadata.op_code == OpCode::Query
            && catalog.find(info.query.name()).is_none()
            && forwarder.serves(info.src.ip())
        {
            return forwarder.answer(request, response).await;
        }
        catalog.handle_request::<R, T>(request, response).await
    }
}
