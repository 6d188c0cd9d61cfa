//! The fake engine. It acknowledges as the real one does, and can be stopped and started again on the same port.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use rebar_proto::{
    MAX_CHUNK,
    v1::{
        AgentMessage, AttemptResult, Dispatch, EngineMessage, EnrolRequest, EnrolResponse, FetchRequest, FetchResponse,
        Hello, LogAck, Progress, RenewRequest, RenewResponse, ResultAck, UpgradeFailed, Welcome,
        agent_message::Body,
        agent_server::{Agent, AgentServer},
        engine_message,
        enrolment_server::{Enrolment, EnrolmentServer},
    },
};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream, wrappers::TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Certificate, Identity, Server, ServerTlsConfig},
};

use super::pki::Ca;

/// Nothing that works takes this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the engine has seen, and what it does.
#[derive(Default)]
pub struct Seen {
    pub hellos: Vec<Hello>,
    pub facts: Vec<String>,
    pub started: BTreeMap<u64, u32>,
    pub logs: BTreeMap<u64, Vec<u8>>,
    pub lost: BTreeMap<u64, u64>,
    pub progress: Vec<Progress>,
    pub results: BTreeMap<u64, Vec<AttemptResult>>,
    pub renewals: u32,
    pub fetches: Vec<FetchRequest>,
    pub peers: Vec<String>,
    pub upgrades_failed: Vec<UpgradeFailed>,
}

/// How the engine behaves.
pub struct Manner {
    pub epoch: u64,
    pub acknowledges: bool,
    pub certificate_age: time::Duration,
    pub certificate_life: time::Duration,
    /// How many bytes of an archive are sent before the transfer breaks, once.
    pub break_fetch_after: Option<usize>,
    /// Whether it then says nothing more, as an engine that is frozen, instead of saying that it broke.
    pub broken_is_silent: bool,
}

pub struct Engine {
    pub ca: Arc<Ca>,
    pub address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
}

struct Shared {
    ca: Arc<Ca>,
    seen: Mutex<Seen>,
    manner: Mutex<Manner>,
    changed: Notify,
    tokens: Mutex<HashMap<String, Token>>,
    contents: Mutex<HashMap<String, Vec<u8>>>,
    outbound: Mutex<Option<mpsc::Sender<Result<EngineMessage, Status>>>>,
    stop: Mutex<CancellationToken>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Token {
    Good,
    Used,
    Expired,
}

impl Engine {
    pub async fn start() -> Self {
        let ca = Arc::new(Ca::new());
        let manner = Manner {
            epoch: 1,
            acknowledges: true,
            certificate_age: time::Duration::minutes(5),
            certificate_life: time::Duration::days(30),
            break_fetch_after: None,
            broken_is_silent: false,
        };
        let shared = Arc::new(Shared {
            ca: ca.clone(),
            seen: Mutex::default(),
            manner: Mutex::new(manner),
            changed: Notify::new(),
            tokens: Mutex::new(HashMap::from([("good".to_owned(), Token::Good), ("old".to_owned(), Token::Expired)])),
            contents: Mutex::default(),
            outbound: Mutex::default(),
            stop: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let address = listener.local_addr().expect("address");
        let mut engine = Self { ca, address, shared, stop: CancellationToken::new(), task: None };
        engine.serve(listener);
        engine
    }

    fn serve(&mut self, listener: TcpListener) {
        let (chain, key) = self.ca.server();
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(chain, key))
            .client_ca_root(Certificate::from_pem(&self.ca.pem))
            .client_auth_optional(true);
        self.stop = CancellationToken::new();
        *self.shared.stop.lock().expect("lock") = self.stop.clone();
        let stop = self.stop.clone();
        let service = Service(self.shared.clone());
        let mut server = Server::builder().tls_config(tls).expect("TLS");
        let server = server.add_service(EnrolmentServer::new(service.clone())).add_service(AgentServer::new(service));
        self.task = Some(tokio::spawn(async move {
            // Without this, an order waits for up to 40 ms on the acknowledgement of the packet before it.
            let incoming = TcpListenerStream::new(listener).map(|socket| {
                let socket = socket?;
                socket.set_nodelay(true)?;
                std::io::Result::Ok(socket)
            });
            tokio::select! {
                () = stop.cancelled() => {}
                served = server.serve_with_incoming(incoming) => served.expect("served"),
            }
        }));
    }

    /// Goes away, connections and all.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        self.shared.outbound.lock().expect("lock").take();
        if let Some(task) = self.task.take() {
            task.await.expect("server");
        }
    }

    /// Comes back at the same address.
    pub async fn restart(&mut self) {
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        self.serve(listener);
    }

    pub fn with<R>(&self, look: impl FnOnce(&mut Seen) -> R) -> R {
        look(&mut self.shared.seen.lock().expect("lock"))
    }

    pub fn manner<R>(&self, change: impl FnOnce(&mut Manner) -> R) -> R {
        change(&mut self.shared.manner.lock().expect("lock"))
    }

    pub fn content(&self, digest: &str, bytes: Vec<u8>) {
        self.shared.contents.lock().expect("lock").insert(digest.to_owned(), bytes);
    }

    /// Waits until the look finds something.
    pub async fn until<R>(&self, what: &str, mut look: impl FnMut(&mut Seen) -> Option<R>) -> R {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = self.with(&mut look) {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    pub async fn connected(&self, times: usize) {
        self.until("a session", |seen| (seen.facts.len() >= times).then_some(())).await;
    }

    pub async fn send(&self, body: engine_message::Body) {
        let outbound = self.shared.outbound.lock().expect("lock").clone().expect("a session");
        outbound.send(Ok(EngineMessage { body: Some(body) })).await.expect("sent");
    }

    /// Ends the session that is open, and nothing else on its connection.
    pub fn end_session(&self) {
        self.shared.outbound.lock().expect("lock").take();
    }

    pub async fn dispatch(&self, dispatch: Dispatch) {
        self.send(engine_message::Body::Dispatch(dispatch)).await;
    }

    /// The result of an attempt.
    pub async fn result(&self, attempt: u64) -> AttemptResult {
        self.until("a result", |seen| seen.results.get(&attempt)?.first().cloned()).await
    }

    /// The whole log of an attempt, once it contains this.
    pub async fn log_with(&self, attempt: u64, text: &str) -> String {
        self.until(text, |seen| {
            let log = String::from_utf8_lossy(seen.logs.get(&attempt)?).into_owned();
            log.contains(text).then_some(log)
        })
        .await
    }

    pub fn log(&self, attempt: u64) -> String {
        self.with(|seen| String::from_utf8_lossy(seen.logs.get(&attempt).map_or(&[][..], Vec::as_slice)).into_owned())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Clone)]
struct Service(Arc<Shared>);

impl Service {
    fn sign(&self, csr_pem: &str) -> String {
        let manner = self.0.manner.lock().expect("lock");
        self.0.ca.sign(csr_pem, "node-1", manner.certificate_age, manner.certificate_life)
    }

    fn take_in(&self, message: AgentMessage) -> Option<engine_message::Body> {
        let mut seen = self.0.seen.lock().expect("lock");
        let acknowledges = self.0.manner.lock().expect("lock").acknowledges;
        let answer = match message.body.expect("a body") {
            Body::Hello(hello) => {
                seen.hellos.push(hello);
                let epoch = self.0.manner.lock().expect("lock").epoch;
                Some(engine_message::Body::Welcome(Welcome { epoch, node: "node-1".to_owned() }))
            }
            Body::Facts(facts) => {
                seen.facts.push(facts.json);
                None
            }
            Body::Started(started) => {
                *seen.started.entry(started.attempt).or_default() += 1;
                None
            }
            Body::Log(chunk) => {
                *seen.lost.entry(chunk.attempt).or_default() += chunk.lost;
                let lost = seen.lost[&chunk.attempt];
                let log = seen.logs.entry(chunk.attempt).or_default();
                let at = usize::try_from(chunk.offset - lost).expect("size");
                assert!(at <= log.len(), "a gap in the log that nobody spoke of");
                log.truncate(at);
                log.extend(&chunk.data);
                let offset = chunk.offset + chunk.data.len() as u64;
                Some(engine_message::Body::LogAck(LogAck { attempt: chunk.attempt, offset }))
            }
            Body::Progress(progress) => {
                seen.progress.push(progress);
                None
            }
            Body::Result(result) => {
                let attempt = result.attempt;
                seen.results.entry(attempt).or_default().push(result);
                Some(engine_message::Body::ResultAck(ResultAck { attempt }))
            }
            Body::UpgradeFailed(failed) => {
                seen.upgrades_failed.push(failed);
                None
            }
            Body::Heartbeat(_) => None,
        };
        drop(seen);
        self.0.changed.notify_waiters();
        match answer {
            Some(engine_message::Body::LogAck(_) | engine_message::Body::ResultAck(_)) if !acknowledges => None,
            answer => answer,
        }
    }
}

#[tonic::async_trait]
impl Enrolment for Service {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        let request = request.into_inner();
        let mut tokens = self.0.tokens.lock().expect("lock");
        match tokens.get(&request.token) {
            Some(Token::Good) => {}
            Some(Token::Used) => return Err(Status::permission_denied("the token has been used")),
            Some(Token::Expired) => return Err(Status::permission_denied("the token has expired")),
            None => return Err(Status::permission_denied("the token is unknown")),
        }
        tokens.insert(request.token, Token::Used);
        Ok(Response::new(EnrolResponse {
            node: "node-1".to_owned(),
            certificate_pem: self.sign(&request.csr_pem),
            ca_pem: self.0.ca.pem.clone(),
        }))
    }
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Agent for Service {
    type SessionStream = Boxed<EngineMessage>;
    type FetchStream = Boxed<FetchResponse>;

    async fn session(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        if request.peer_certs().is_none_or(|certificates| certificates.is_empty()) {
            return Err(Status::unauthenticated("no client certificate"));
        }
        let mut inbound = request.into_inner();
        let (outbound, messages) = mpsc::channel(64);
        *self.0.outbound.lock().expect("lock") = Some(outbound.clone());
        let stop = self.0.stop.lock().expect("lock").clone();
        let service = self.clone();
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    () = stop.cancelled() => break,
                    message = inbound.next() => message,
                };
                let Some(Ok(message)) = message else { break };
                if let Some(body) = service.take_in(message)
                    && outbound.send(Ok(EngineMessage { body: Some(body) })).await.is_err()
                {
                    break;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        if request.peer_certs().is_none_or(|certificates| certificates.is_empty()) {
            return Err(Status::unauthenticated("no client certificate"));
        }
        {
            // What is renewed is good for long.
            let mut manner = self.0.manner.lock().expect("lock");
            manner.certificate_age = time::Duration::minutes(1);
            manner.certificate_life = time::Duration::days(30);
        }
        let certificate_pem = self.sign(&request.into_inner().csr_pem);
        self.0.seen.lock().expect("lock").renewals += 1;
        self.0.changed.notify_waiters();
        Ok(Response::new(RenewResponse { certificate_pem, ca_pem: self.0.ca.pem.clone() }))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let request = request.into_inner();
        let contents = self.0.contents.lock().expect("lock");
        let bytes =
            contents.get(&request.digest).cloned().ok_or_else(|| Status::not_found("there is no such content"))?;
        let offset = usize::try_from(request.offset).expect("size");
        self.0.seen.lock().expect("lock").fetches.push(request);
        let (limit, is_silent) = {
            let mut manner = self.0.manner.lock().expect("lock");
            (manner.break_fetch_after.take(), manner.broken_is_silent)
        };
        let rest = &bytes[offset.min(bytes.len())..];
        let sent = &rest[..limit.unwrap_or(rest.len()).min(rest.len())];
        let mut answers: Vec<Result<FetchResponse, Status>> = sent
            .chunks(if limit.is_some() { 1024 } else { MAX_CHUNK })
            .map(|chunk| Ok(FetchResponse { chunk: chunk.to_vec() }))
            .collect();
        if limit.is_some() && is_silent {
            let nothing = tokio_stream::pending();
            return Ok(Response::new(Box::pin(tokio_stream::iter(answers).chain(nothing))));
        }
        if limit.is_some() {
            answers.push(Err(Status::unavailable("the line broke")));
        }
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }
}
