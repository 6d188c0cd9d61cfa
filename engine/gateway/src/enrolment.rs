//! The `Enrolment` service, the only one that answers strangers: a one-time token and a certificate request against the identity of
//! a node. Whether a token is good is the engine's to say, behind the `AgentDoor` port.

use std::sync::Arc;

use rebar_ports::{AgentDoor, Authority, Clock};
use rebar_proto::v1::{EnrolRequest, EnrolResponse, enrolment_server::Enrolment};
use tonic::{Request, Response, Status};
use x509_parser::{certification_request::X509CertificationRequest, pem::parse_x509_pem, prelude::FromDer};

use crate::{
    limits::{CSR, TOKEN},
    status,
};

/// The service.
pub(crate) struct EnrolmentService {
    pub(crate) door: Arc<dyn AgentDoor>,
    pub(crate) authority: Arc<dyn Authority>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[tonic::async_trait]
impl Enrolment for EnrolmentService {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        let EnrolRequest { token, csr_pem } = request.into_inner();
        if token.is_empty() || token.len() > TOKEN {
            return Err(Status::invalid_argument(format!("the token must have 1 to {TOKEN} bytes")));
        }
        // Before the token is used up: a mangled request must not cost it.
        check_request(&csr_pem)?;
        let node = self.door.enrol(&token).await.map_err(|error| {
            tracing::warn!(%error, "enrolment refused");
            status::of_door(&error)
        })?;
        let certificate_pem = self.authority.sign_agent(&csr_pem, &node, self.clock.now()).map_err(|error| {
            tracing::error!(%node, %error, "no certificate for an enrolled node; its token is used up");
            status::of_authority(&error)
        })?;
        tracing::info!(%node, "node enrolled");
        let ca_pem = self.authority.ca_pem().to_owned();
        Ok(Response::new(EnrolResponse { node: node.to_string(), certificate_pem, ca_pem }))
    }
}

/// Whether a certificate request can be read at all.
pub(crate) fn check_request(csr_pem: &str) -> Result<(), Status> {
    let refuse = |why: &str| Err(Status::invalid_argument(format!("certificate request: {why}")));
    if csr_pem.len() > CSR {
        return refuse(&format!("larger than {CSR} bytes"));
    }
    let Ok((_, pem)) = parse_x509_pem(csr_pem.as_bytes()) else { return refuse("not PEM") };
    if !matches!(pem.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
        return refuse("the PEM holds something else");
    }
    if X509CertificationRequest::from_der(&pem.contents).is_err() {
        return refuse("not PKCS #10");
    }
    Ok(())
}
