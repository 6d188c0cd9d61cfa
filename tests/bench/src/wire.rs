//! Simulated agents over the real wire: mutual TLS, HTTP/2, the session of the protocol. They say at once that what they are sent is
//! done; what they do not do is keep a journal and run anything.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use hyper_util::rt::TokioIo;
use rebar_model::NodeName;
use rebar_ports::ENGINE_NAME;
use rebar_proto::{
    MAX_MESSAGE, MAX_NOTICE, read_notice,
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
use tokio_util::io::InspectReader;
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
            let channel = loop {
                match dial(address, tls.clone()).await? {
                    Dialled::Open(channel) => break channel,
                    Dialled::Later(after) => tokio::time::sleep(after).await,
                }
            };
            drop(permit);
            session(channel, &node).await
        });
    }
    Ok(agents)
}

/// TLS as the agent with this certificate.
pub fn tls(ready: &Ready, certificate: &str) -> Result<ClientConfig> {
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

/// What came of a call at the door.
pub enum Dialled {
    /// A connection.
    Open(Channel),
    /// There is no room; come back after so long.
    Later(Duration),
}

/// Opens a connection, if there is room for one.
pub async fn dial(address: SocketAddr, tls: Arc<ClientConfig>) -> Result<Dialled> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let beginning = Arc::new(Mutex::new(Vec::new()));
    let heard = beginning.clone();
    let tcp = InspectReader::new(tcp, move |bytes: &[u8]| {
        let mut beginning = heard.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_NOTICE.saturating_sub(beginning.len());
        beginning.extend_from_slice(&bytes[..bytes.len().min(room)]);
    });
    let stream = match TlsConnector::from(tls).connect(ServerName::try_from(ENGINE_NAME)?, tcp).await {
        Ok(stream) => stream,
        Err(error) => {
            let notice = read_notice(&beginning.lock().unwrap_or_else(PoisonError::into_inner));
            return notice.map(Dialled::Later).ok_or(error.into());
        }
    };
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        std::future::ready(once.take().ok_or_else(|| std::io::Error::other("the connection is over")))
    });
    Ok(Dialled::Open(Endpoint::from_static("http://engine.rebar").connect_with_connector(connector).await?))
}

async fn session(channel: Channel, node: &NodeName) -> Result<()> {
    let mut client = AgentClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    let (out, said) = mpsc::channel(OUTBOUND);
    greet(&out, node).await?;
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

/// Says hello, and what the machine is like.
pub async fn greet(out: &mpsc::Sender<AgentMessage>, node: &NodeName) -> Result<()> {
    let hello = Hello { agent_version: "bench".to_owned(), boot_id: "bench".to_owned(), epoch: 0, held: Vec::new() };
    say(out, Body::Hello(hello)).await?;
    let facts = serde_json::json!({"hostname": node, "memory_mb": 1_024});
    say(out, Body::Facts(Facts { json: facts.to_string() })).await
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

/// Says something to the engine.
pub async fn say(out: &mpsc::Sender<AgentMessage>, body: Body) -> Result<()> {
    out.send(AgentMessage { body: Some(body) }).await.ok().context("the session is over")
}
