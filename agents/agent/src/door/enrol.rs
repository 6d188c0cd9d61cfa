//! Becoming known: a one-time token and a key made here are traded for an identity.

use std::{fs, path::Path, sync::Arc, time::Duration};

use rebar_proto::v1::{EnrolRequest, enrolment_client::EnrolmentClient};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    disk::{durable, layout::State},
    door::{
        dial,
        identity::{self, Identity, certificate},
        pinned::PinnedCa,
    },
    error::{Context, Error},
    release::trust,
};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a machine is given to become known with.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// The addresses of the engines, `host:port`, with commas between them: one of them leads.
    pub engine: String,
    /// The one-time token.
    pub token: String,
    /// The SHA-256 of the engine's CA certificate, in hexadecimal.
    pub ca_fingerprint: String,
    /// The keys whose releases of the agent are taken, in hexadecimal.
    #[serde(default)]
    pub release_keys: Vec<String>,
}

impl Invitation {
    /// Reads an enrolment file, if there is one.
    pub fn load(path: &Path) -> Result<Option<Self>, Error> {
        let Some(bytes) = durable::read(path)? else { return Ok(None) };
        // The message of the parser could quote the token.
        let broken =
            |_| Error::Broken { path: path.to_owned(), reason: "not {engine, token, ca_fingerprint}".to_owned() };
        serde_json::from_slice(&bytes).map(Some).map_err(broken)
    }

    /// Removes an enrolment file that has been used.
    pub fn discard(path: &Path) -> Result<(), Error> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at(path),
            _ => Ok(()),
        }
    }
}

/// Trades the invitation for an identity, which is on disk when this returns. Engines are tried in turn; what the last one said is
/// the error.
pub async fn enrol(state: &State, invitation: &Invitation) -> Result<Identity, Error> {
    let mut last =
        Error::Unreachable { engine: invitation.engine.clone(), reason: "no address of an engine".to_owned() };
    for engine in dial::addresses(&invitation.engine) {
        match enrol_at(engine, state, invitation).await {
            Err(error @ (Error::Unreachable { .. } | Error::Busy { .. })) => last = error,
            answered => return answered,
        }
    }
    Err(last)
}

async fn enrol_at(engine: &str, state: &State, invitation: &Invitation) -> Result<Identity, Error> {
    let pinned = Arc::new(PinnedCa::new(&invitation.ca_fingerprint, dial::provider()));
    let wrong_ca = || Error::WrongCa { engine: engine.to_owned() };
    let connection = match dial::dial(engine, dial::pinned_tls(pinned.clone())?).await {
        Err(_) if pinned.has_refused() => return Err(wrong_ca()),
        connection => connection?,
    };
    let (key_pem, csr_pem) = identity::request()?;
    let request = EnrolRequest { token: invitation.token.clone(), csr_pem };
    let answer = timeout(ANSWER_TIMEOUT, EnrolmentClient::new(connection.channel).enrol(request)).await;
    let unreachable =
        |_| Error::Unreachable { engine: engine.to_owned(), reason: "no answer to the enrolment".to_owned() };
    let response =
        answer.map_err(unreachable)?.map_err(|status| Error::Refused(status.message().to_owned()))?.into_inner();
    let ca = CertificateDer::from_pem_slice(response.ca_pem.as_bytes()).map_err(certificate)?;
    if !pinned.is(&ca) {
        return Err(wrong_ca());
    }
    let identity = Identity {
        engine: invitation.engine.clone(),
        node: response.node,
        key_pem,
        certificate_pem: response.certificate_pem,
        ca_pem: response.ca_pem,
    };
    // An identity that does not work is better refused here than at every connect.
    dial::mutual_tls(&identity)?;
    if !invitation.release_keys.is_empty() {
        trust::pin(state, &invitation.release_keys)?;
    }
    identity.save(state)?;
    tracing::info!(node = identity.node, engine, "enrolled");
    Ok(identity)
}
