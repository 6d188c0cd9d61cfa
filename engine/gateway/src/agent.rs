//! The `Agent` service: a session, a fresh certificate, the content of a role. The guard in `access` lets only nodes through. What
//! happens in a session is in `session`.

use std::sync::Arc;

use futures::{StreamExt, stream::BoxStream};
use rebar_ports::{AgentDoor, Authority, Clock};
use rebar_proto::{
    MAX_CHUNK,
    v1::{AgentMessage, FetchRequest, FetchResponse, RenewRequest, RenewResponse, agent_server::Agent},
};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    contents::{Contents, NoContent},
    convert, enrolment,
    outbox::OutStream,
    peer::Peer,
    sessions::Sessions,
    status,
};

/// The service.
pub(crate) struct AgentService {
    pub(crate) sessions: Sessions,
    pub(crate) door: Arc<dyn AgentDoor>,
    pub(crate) authority: Arc<dyn Authority>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fetches: Arc<Semaphore>,
    pub(crate) contents: Contents,
}

#[tonic::async_trait]
impl Agent for AgentService {
    type SessionStream = OutStream;
    type FetchStream = BoxStream<'static, Result<FetchResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let peer = peer(&request)?;
        Ok(Response::new(self.sessions.open_of(peer, request.into_inner())?))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        let Peer { node, .. } = peer(&request)?;
        // A session means that the engine still knows the node: one that was removed must not renew itself for ever.
        if !self.sessions.has(&node) {
            return Err(Status::failed_precondition("a certificate is renewed during a session; open one first"));
        }
        let RenewRequest { csr_pem } = request.into_inner();
        enrolment::check_request(&csr_pem)?;
        let certificate_pem = self.authority.sign_agent(&csr_pem, &node, self.clock.now()).map_err(|error| {
            tracing::error!(%node, %error, "certificate not renewed");
            status::of_authority(&error)
        })?;
        tracing::info!(%node, "certificate renewed");
        Ok(Response::new(RenewResponse { certificate_pem, ca_pem: self.authority.ca_pem().to_owned() }))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let Peer { node, .. } = peer(&request)?;
        let FetchRequest { digest, offset } = request.into_inner();
        let digest = convert::digest(&digest).map_err(|it| Status::invalid_argument(it.to_string()))?;
        let Ok(permit) = self.fetches.clone().try_acquire_owned() else {
            return Err(Status::resource_exhausted("too many transfers; come back later"));
        };
        let content = self.contents.get(&*self.door, digest).await.map_err(|error| match error {
            NoContent::Unknown => {
                tracing::warn!(%node, %digest, "content asked for is not here");
                Status::not_found(format!("no content {digest} here"))
            }
            NoContent::Busy => Status::resource_exhausted("too many different transfers; come back later"),
            NoContent::Door(error) => status::of_door(&error),
        })?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        if start > content.bytes.len() {
            return Err(Status::out_of_range(format!("the content has {} bytes", content.bytes.len())));
        }
        let rest = content.bytes.slice(start..);
        let chunks = futures::stream::unfold(rest, |mut rest| async move {
            let chunk = rest.split_to(rest.len().min(MAX_CHUNK));
            (!chunk.is_empty()).then(|| (Ok(FetchResponse { chunk: chunk.into() }), rest))
        });
        // The permit and the content's place live as long as the stream.
        Ok(Response::new(chunks.inspect(move |_| _ = (&permit, &content)).boxed()))
    }
}

/// The node that a call comes from. The guard has put it there; without it nothing is answered.
fn peer<T>(request: &Request<T>) -> Result<Peer, Status> {
    request.extensions().get::<Peer>().cloned().ok_or_else(|| Status::unauthenticated("no certificate"))
}
