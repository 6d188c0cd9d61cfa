//! Simulated agents over the real wire: mutual TLS, HTTP/2, and the conversation of the real agent (`rebar-link`), so that they know
//! what they have run, offer what was not acknowledged, and come back when the engine was away. They say at once that what they are
//! sent is done; what they do not do is keep a journal and run anything.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use hyper_util::rt::TokioIo;
use rebar_link::{Backoff, Input, Link, Local, Output};
use rebar_model::NodeName;
use rebar_ports::ENGINE_NAME;
use rebar_proto::{
    MAX_CHUNK, MAX_MESSAGE, MAX_NOTICE, read_notice,
    v1::{
        AgentMessage, AttemptResult, Dispatch, EnrolRequest, LogChunk, Phase, Succeeded, agent_client::AgentClient,
        attempt_result::Outcome, enrolment_client::EnrolmentClient,
    },
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc, watch},
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

/// What agents did, together.
#[derive(Debug)]
pub struct Seen {
    /// How many attempts of each node-role were run.
    ran: Mutex<BTreeMap<String, u32>>,
    /// How many attempts were run.
    pub count: watch::Sender<u64>,
    /// How many sessions are open.
    pub here: watch::Sender<usize>,
}

impl Seen {
    /// The node-roles of which other than one attempt was run.
    pub fn not_once(&self) -> Vec<(String, u32)> {
        let ran = self.ran.lock().unwrap_or_else(PoisonError::into_inner);
        ran.iter().filter(|(_, count)| **count != 1).map(|(name, count)| (name.clone(), *count)).collect()
    }

    fn run(&self, dispatch: &Dispatch) {
        let mut ran = self.ran.lock().unwrap_or_else(PoisonError::into_inner);
        *ran.entry(dispatch.node_role.clone()).or_default() += 1;
        self.count.send_modify(|it| *it += 1);
    }
}

/// Agents that live until this is dropped.
pub struct Agents {
    /// What they did.
    pub seen: Arc<Seen>,
    lines: Vec<watch::Sender<u64>>,
    _tasks: JoinSet<()>,
}

/// One of them.
struct Agent {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    gate: Arc<Semaphore>,
    seen: Arc<Seen>,
    link: Link,
    log: Arc<Vec<u8>>,
    cuts: watch::Receiver<u64>,
}

impl Agents {
    /// Connects an agent for each node. Each attempt says something of this length.
    pub fn connect(ready: &Ready, log: usize) -> Result<Self> {
        let seen = Arc::new(Seen { ran: Mutex::default(), count: watch::Sender::new(0), here: watch::Sender::new(0) });
        let gate = Arc::new(Semaphore::new(CONNECTING));
        let log = Arc::new(b"what a role says\n".iter().copied().cycle().take(log).collect::<Vec<_>>());
        let (mut tasks, mut lines) = (JoinSet::new(), Vec::new());
        for certificate in ready.certificates.values() {
            let tls = Arc::new(tls(&ready.ca_pem, Some((certificate, &ready.key_pem)))?);
            let (gate, seen, log) = (gate.clone(), seen.clone(), log.clone());
            let (line, cuts) = watch::channel(0);
            lines.push(line);
            tasks.spawn(Agent { address: ready.address, tls, gate, seen, link: Link::default(), log, cuts }.live());
        }
        Ok(Self { seen, lines, _tasks: tasks })
    }

    /// Breaks the line of an agent, which comes back.
    pub fn cut(&self, at: usize) {
        if let Some(line) = self.lines.get(at % self.lines.len().max(1)) {
            line.send_modify(|it| *it += 1);
        }
    }
}

impl Agent {
    /// Comes back for as long as somebody wants it to.
    async fn live(mut self) {
        let mut backoff = Backoff::default();
        loop {
            // Why it ended is the engine's to say; an agent comes back.
            let _ = self.session(&mut backoff).await;
            self.link.handle(Input::Disconnected);
            tokio::time::sleep(backoff.next(rand::random())).await;
        }
    }

    async fn session(&mut self, backoff: &mut Backoff) -> Result<()> {
        let permit = self.gate.clone().acquire_owned().await?;
        let dialled = dial(self.address, self.tls.clone()).await?;
        drop(permit);
        let channel = match dialled {
            Dialled::Open(channel) => channel,
            Dialled::Later(after) => {
                backoff.told(after);
                return Ok(());
            }
        };
        let mut client = AgentClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let (out, said) = mpsc::channel(OUTBOUND);
        let facts_json = serde_json::json!({"hostname": "bench", "memory_mb": 1_024}).to_string();
        let (agent_version, boot_id) = ("bench".to_owned(), "bench".to_owned());
        let hello = rebar_link::Session { agent_version, boot_id, facts_json, upgrade_failed: None };
        self.handle(Input::Connected(hello), &out).await?;
        let mut inbound = client.session(ReceiverStream::new(said)).await?.into_inner();
        let _here = Here::new(&self.seen);
        let since = Instant::now();
        self.cuts.mark_unchanged();
        loop {
            let message = tokio::select! {
                message = inbound.message() => message?,
                changed = self.cuts.changed() => return Ok(changed?),
            };
            let Some(message) = message else { return Ok(()) };
            self.handle(Input::Engine(message), &out).await?;
            backoff.after_session(since.elapsed());
        }
    }

    async fn handle(&mut self, input: Input, out: &mpsc::Sender<AgentMessage>) -> Result<()> {
        let mut outputs = VecDeque::from(self.link.handle(input));
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Send(message) => out.send(message).await.ok().context("the session is over")?,
                Output::Start(dispatch) => {
                    self.seen.run(&dispatch);
                    let attempt = dispatch.attempt;
                    outputs.extend(self.link.handle(Input::Local(Local::Started { attempt, at_ms: 0 })));
                    outputs.extend(self.link.handle(Input::Local(Local::Finished(self.carry_out(&dispatch)?))));
                }
                Output::ReadLog { attempt, from } => {
                    for chunk in self.chunks(attempt, from) {
                        outputs.extend(self.link.handle(Input::Local(Local::Log(chunk))));
                    }
                    outputs.extend(self.link.handle(Input::Local(Local::LogDrained { attempt })));
                }
                Output::Disconnect(refusal) => return Err(refusal.into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn carry_out(&self, dispatch: &Dispatch) -> Result<AttemptResult> {
        let inputs: serde_json::Value = serde_json::from_str(&dispatch.inputs_json)?;
        let outputs = match inputs.get("before") {
            Some(before) => serde_json::json!({"out": before}),
            None => serde_json::json!({}),
        };
        let outcome = Succeeded { outputs_json: outputs.to_string(), converged: false, note: String::new() };
        Ok(AttemptResult {
            attempt: dispatch.attempt,
            finished_at: None,
            outcome: Some(Outcome::Succeeded(outcome)),
            log_bytes: self.log.len() as u64,
        })
    }

    fn chunks(&self, attempt: u64, from: u64) -> Vec<LogChunk> {
        let rest = usize::try_from(from).ok().and_then(|from| self.log.get(from..)).unwrap_or_default();
        let pieces = (from..).step_by(MAX_CHUNK).zip(rest.chunks(MAX_CHUNK));
        let chunk = |(offset, piece): (u64, &[u8])| LogChunk {
            attempt,
            offset,
            phase: Phase::Apply.into(),
            at: None,
            data: piece.to_vec(),
            lost: 0,
        };
        pieces.map(chunk).collect()
    }
}

/// A session that is open.
struct Here(Arc<Seen>);

impl Here {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.here.send_modify(|it| *it += 1);
        Self(seen.clone())
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.0.here.send_modify(|it| *it -= 1);
    }
}

/// Trades the tokens of nodes for their certificates, as agents do; one key for all of them.
pub async fn enrol(address: SocketAddr, ca_pem: &str, tokens: &BTreeMap<NodeName, String>) -> Result<Ready> {
    let key = rcgen::KeyPair::generate()?;
    let csr_pem = rcgen::CertificateParams::new(Vec::new())?.serialize_request(&key)?.pem()?;
    let Dialled::Open(channel) = dial(address, Arc::new(tls(ca_pem, None)?)).await? else {
        bail!("there is no room at the agents' door")
    };
    let mut client = EnrolmentClient::new(channel);
    let mut certificates = BTreeMap::new();
    for (node, token) in tokens {
        let request = EnrolRequest { token: token.clone(), csr_pem: csr_pem.clone() };
        certificates.insert(node.clone(), client.enrol(request).await?.into_inner().certificate_pem);
    }
    let (ca_pem, key_pem) = (ca_pem.to_owned(), key.serialize_pem());
    Ok(Ready { address, ca_pem, ca_fingerprint: String::new(), key_pem, certificates })
}

/// TLS as whoever has this certificate and its key, or as a stranger.
pub fn tls(ca_pem: &str, own: Option<(&str, &str)>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(ca?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(roots);
    let mut config = match own {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?
        }
    };
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
