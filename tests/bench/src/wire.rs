//! Simulated agents over the real wire: mutual TLS, HTTP/2, the session of the protocol. They say at once that what they are sent is
//! done; what they do not do is keep a journal and run anything.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use hyper_util::rt::TokioIo;
use rebar_model::NodeName;
use rebar_ports::ENGINE_NAME;
use rebar_proto::{
    MAX_MESSAGE,
    v1::{
        AgentMessage, AttemptResult, Dispatch, Facts, Heartbeat, Hello, Started, Succeeded, agent_client::AgentClient,
        agent_message::Body, attempt_result::Outcome, engine_message,
    },
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::host::Ready;

/// Agents that connect at one time.
const CONNECTING: usize = 64;
/// Messages on their way to the engine, an agent.
const OUTBOUND: usize = 256;

/// Connects an agent for each node. They live until the set is dropped.
pub fn connect(ready: &Ready) -> Result<JoinSet<Result<()>>> {
    let mut agents = JoinSet::new();
    let gate = Arc::new(Semaphore::new(CONNECTING));
    for (node, certificate) in &ready.certificates {
        let tls = Arc::new(tls(ready, certificate)?);
        let (node, address, gate) = (node.clone(), ready.address, gate.clone());
        agents.spawn(async move {
            let permit = gate.acquire_owned().await?;
            let channel = dial(address, tls).await?;
            drop(permit);
            session(channel, &node).await
        });
    }
    Ok(agents)
}

fn tls(ready: &Ready, certificate: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(ready.ca_pem.as_bytes()) {
        roots.add(ca?)?;
    }
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(ready.key_pem.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

async fn dial(address: SocketAddr, tls: Arc<ClientConfig>) -> Result<Channel> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let stream = TlsConnector::from(tls).connect(ServerName::try_from(ENGINE_NAME)?, tcp).await?;
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        std::future::ready(once.take().ok_or_else(|| std::io::Error::other("the connection is over")))
    });
    Ok(Endpoint::from_static("http://engine.rebar").connect_with_connector(connector).await?)
}

async fn session(channel: Channel, node: &NodeName) -> Result<()> {
    let mut client = AgentClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    let (out, said) = mpsc::channel(OUTBOUND);
    let hello = Hello { agent_version: "bench".to_owned(), boot_id: "bench".to_owned(), epoch: 0, held: Vec::new() };
    say(&out, Body::Hello(hello)).await?;
    let facts = serde_json::json!({"hostname": node, "memory_mb": 1_024});
    say(&out, Body::Facts(Facts { json: facts.to_string() })).await?;
    let mut inbound = client.session(ReceiverStream::new(said)).await?.into_inner();
    while let Some(message) = inbound.message().await? {
        match message.body {
            Some(engine_message::Body::Dispatch(dispatch)) => carry_out(&out, dispatch).await?,
            Some(engine_message::Body::Ping(_)) => say(&out, Body::Heartbeat(Heartbeat {})).await?,
            _ => {}
        }
    }
    Ok(())
}

/// Says that an attempt is in the journal, and in the same breath that it has ended.
async fn carry_out(out: &mpsc::Sender<AgentMessage>, dispatch: Dispatch) -> Result<()> {
    let inputs: serde_json::Value = serde_json::from_str(&dispatch.inputs_json)?;
    let outputs = serde_json::json!({"out": inputs["before"]});
    say(out, Body::Started(Started { attempt: dispatch.attempt, at: None })).await?;
    let outcome = Succeeded { outputs_json: outputs.to_string(), converged: false, note: String::new() };
    let result = AttemptResult {
        attempt: dispatch.attempt,
        finished_at: None,
        outcome: Some(Outcome::Succeeded(outcome)),
        log_bytes: 0,
    };
    say(out, Body::Result(result)).await
}

async fn say(out: &mpsc::Sender<AgentMessage>, body: Body) -> Result<()> {
    out.send(AgentMessage { body: Some(body) }).await.ok().context("the session is over")
}
