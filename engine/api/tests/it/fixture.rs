//! A running engine and its door, a client that knows its CA and has a token, a small workload, and agents that do as told.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use rebar_api::{Config, types::Problem};
use rebar_manifest::{File, Package};
use rebar_model::{
    Actor, ApiToken, AttemptId, Epoch, Failure, FailureKind, NodeName, Phase, ProviderKind, Report, TokenHash,
};
use rebar_orchestrator::{AddNode, Engine, Handle, Ports, ServiceKind};
use rebar_ports::{
    AgentCommand, AgentDoor, AgentHello, Authority, Clock, ENGINE_NAME, LogChunk, SessionId, Work, memory::Memory,
};
use rebar_scheduler::Command;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::outside::{Ca, Dice, FakeClock, Gate, Paper, Session, Shelf, Slow, Undisputed};

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The token of the fixture's client.
pub const TOKEN: &str = "rebar_test";

/// A running engine and its door.
pub struct Fixture {
    pub address: SocketAddr,
    pub client: Client,
    authority: Arc<Ca>,
    pub clock: Arc<FakeClock>,
    pub handle: Handle,
    pub stop: CancellationToken,
    pub serving: JoinHandle<()>,
    /// In front of each look at a single attempt.
    pub attempts: Arc<Gate>,
    /// In front of each content that is taken in.
    pub contents: Arc<Gate>,
}

impl Fixture {
    pub async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    pub async fn start_with(config: Config) -> Self {
        let (attempts, contents) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
        let (clock, memory, stop) = (FakeClock::new(), Arc::new(Memory::default()), CancellationToken::new());
        let listing: Arc<dyn rebar_orchestrator::Listing> = Arc::new(Slow);
        let ports = Ports {
            store: Arc::new(Undisputed { memory: memory.clone(), gate: attempts.clone() }),
            logs: memory.clone(),
            blobs: Arc::new(Shelf { memory: memory.clone(), gate: contents.clone() }),
            vault: memory,
            clock: clock.clone(),
            entropy: Arc::new(Dice::default()),
            services: vec![Arc::new(Slow)],
            listings: BTreeMap::from([(ServiceKind::Dns, listing)]),
            providers: BTreeMap::from([(ProviderKind::Join, Arc::new(Paper) as Arc<_>)]),
            advertise: "engine:8091".to_owned(),
            ca_fingerprint: "0123".to_owned(),
            release_keys: vec![crate::agents::release_key()],
            holder: "test".to_owned(),
        };
        let engine = Engine::start(ports, stop.clone()).await.unwrap();
        let handle = engine.handle();
        let ca = Arc::new(Ca::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = client(&ca, address);
        let authority = ca.clone();
        let serving = rebar_api::serve(listener, handle.clone(), ca, clock.clone(), config, stop.clone());
        let serving = tokio::spawn(async move {
            serving.await.unwrap();
            engine.join().await;
        });
        let fixture = Self { address, client, authority, clock, handle, stop, serving, attempts, contents };
        let token = ApiToken {
            hash: TokenHash::of(TOKEN),
            name: "ana".to_owned(),
            created_at: fixture.clock.now(),
            expires_at: None,
        };
        fixture.handle.command(Actor::engine(), Command::PutApiToken { token }).await.unwrap();
        fixture
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(TOKEN)
    }

    /// A client with connections of its own.
    pub fn another_client(&self) -> Client {
        client(&self.authority, self.address)
    }

    /// A request by another client.
    pub fn request_by(&self, client: &Client, method: Method, path: &str) -> RequestBuilder {
        let url = format!("https://{ENGINE_NAME}:{}/api/v1{path}", self.address.port());
        client.request(method, url).bearer_auth(TOKEN)
    }

    /// A request without a token.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("https://{ENGINE_NAME}:{}/api/v1{path}", self.address.port()))
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        answer(self.request(Method::GET, path), StatusCode::OK).await
    }

    pub async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: Value, expected: u16) -> T {
        answer(self.request(method, path).json(&body), StatusCode::from_u16(expected).unwrap()).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: Value, expected: u16) -> T {
        self.send(Method::POST, path, body, expected).await
    }

    pub async fn delete(&self, path: &str) {
        let response = sent(self.request(Method::DELETE, path)).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT, "{path}: {}", response.text().await.unwrap());
    }

    /// The problem that a request gets.
    pub async fn refused(&self, request: RequestBuilder, status: u16, code: &str) -> Problem {
        let response = sent(request).await;
        let seen = response.status().as_u16();
        let kind = response.headers().get("content-type").map(|it| it.to_str().unwrap().to_owned());
        let text = response.text().await.unwrap();
        let problem: Problem = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!((seen, problem.code.as_str()), (status, code), "{text}");
        assert_eq!(problem.status, status);
        assert_eq!(kind.as_deref(), Some("application/problem+json"));
        assert!(problem.kind.ends_with(code) && !problem.title.is_empty() && !problem.detail.is_empty(), "{text}");
        problem
    }

    /// Imports the workload.
    pub async fn import(&self, package: &Package) -> Response {
        sent(self.request(Method::POST, "/workloads").body(package.to_tar())).await
    }

    /// A node with an agent that is here.
    pub async fn agent(&self, name: &str) -> Agent {
        let request = AddNode {
            name: name.parse().unwrap(),
            provider: ProviderKind::Join,
            labels: BTreeMap::new(),
            profiles: Vec::new(),
            options: BTreeMap::new(),
        };
        let node = self.handle.add_node(Actor::engine(), request).await.unwrap().node.name;
        let (say, heard) = mpsc::unbounded_channel();
        let (session, _) = self.handle.connected(&node, hello("0"), Arc::new(Session(say))).await.unwrap();
        Agent { node, session, handle: self.handle.clone(), heard }
    }

    /// An agent starts anew as another release.
    pub async fn comes_back(&self, agent: &Agent, version: &str) {
        let (say, _) = mpsc::unbounded_channel();
        self.handle.connected(&agent.node, hello(version), Arc::new(Session(say))).await.unwrap();
    }

    /// The workload imported, a deployment of it on one node, and that node's agent.
    pub async fn demo(&self) -> Agent {
        self.demo_of(&package("1.0.0")).await
    }

    /// The same of a changed workload.
    pub async fn demo_of(&self, package: &Package) -> Agent {
        let agent = self.agent("n1").await;
        let imported = self.import(package).await;
        assert_eq!(imported.status(), StatusCode::CREATED, "{}", imported.text().await.unwrap());
        let body = json!({"name": "demo", "workload": "web@1.0.0", "groups": {"web": ["n1"]},
            "parameters": {"password": "hunter2"}});
        let _: Value = self.post("/deployments", body, 201).await;
        agent
    }

    /// Plans and applies.
    pub async fn apply(&self, name: &str) -> Value {
        let plan: Value = self.post(&format!("/deployments/{name}/plan"), json!({}), 200).await;
        self.post(&format!("/deployments/{name}/apply"), json!({"plan": plan["id"]}), 202).await
    }

    /// The deployment of [`Fixture::demo`] with everything active.
    pub async fn active_demo(&self) -> Agent {
        let agent = self.demo().await;
        self.activate(agent).await
    }

    /// Everything of a new deployment made active by its agent.
    pub async fn activate(&self, mut agent: Agent) -> Agent {
        self.apply("demo").await;
        agent.serve().await;
        agent.succeed(json!({})).await;
        let waited: Value = self.get("/deployments/demo/wait?for=active").await;
        assert_eq!(waited["result"], "reached");
        agent
    }
}

fn hello(version: &str) -> AgentHello {
    let (agent_version, boot_id) = (version.to_owned(), "b".to_owned());
    AgentHello { agent_version, boot_id, epoch: Epoch(0), held: Vec::new(), upgrade: None }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn client(ca: &Ca, address: SocketAddr) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.ca_pem().as_bytes()).unwrap()).unwrap();
    let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Client::builder().tls_backend_preconfigured(tls).resolve(ENGINE_NAME, address).build().unwrap()
}

pub async fn sent(request: RequestBuilder) -> Response {
    timeout(PATIENCE, request.send()).await.expect("an answer in time").unwrap()
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder, expected: StatusCode) -> T {
    let response = sent(request).await;
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, expected, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// An agent that does as told.
pub struct Agent {
    pub node: NodeName,
    pub session: SessionId,
    handle: Handle,
    heard: mpsc::UnboundedReceiver<AgentCommand>,
}

impl Agent {
    /// What it is told next.
    pub async fn command(&mut self) -> AgentCommand {
        timeout(PATIENCE, self.heard.recv()).await.expect("a command in time").expect("a session")
    }

    /// The next attempt that it is handed.
    pub async fn work(&mut self) -> Box<Work> {
        loop {
            if let AgentCommand::Dispatch(work) = self.command().await {
                self.handle.started(&self.node, work.attempt).await.unwrap();
                return work;
            }
        }
    }

    pub async fn end(&self, attempt: AttemptId, report: Report) {
        self.handle.ended(&self.node, attempt, report).await.unwrap();
    }

    /// Takes the next attempt and succeeds with some outputs.
    pub async fn succeed(&mut self, outputs: Value) -> AttemptId {
        let attempt = self.work().await.attempt;
        let outputs = serde_json::from_value(outputs).unwrap();
        self.end(attempt, Report::Succeeded { outputs, converged: false, note: Some("well".to_owned()) }).await;
        attempt
    }

    /// Takes the next attempt, which is that of the role `server`, and succeeds.
    pub async fn serve(&mut self) -> AttemptId {
        self.succeed(json!({"url": "http://n1", "token": "s3cret"})).await
    }

    /// Takes the next attempt, writes a log and fails.
    pub async fn fail(&mut self, log: &str) -> AttemptId {
        let attempt = self.work().await.attempt;
        self.log(attempt, 0, log).await;
        self.end(attempt, Report::Failed(Self::failure())).await;
        attempt
    }

    /// What it fails with.
    pub fn failure() -> Failure {
        Failure {
            kind: FailureKind::Error,
            phase: Some(Phase::Apply),
            exit_code: Some(100),
            message: "no such package".to_owned(),
            retry_after: None,
        }
    }

    pub async fn log(&self, attempt: AttemptId, offset: u64, text: &str) {
        let chunk = LogChunk {
            attempt,
            offset,
            phase: Some(Phase::Apply),
            at: self.handle.now(),
            text: text.to_owned(),
            bytes: text.len() as u64,
            lost: 0,
        };
        self.handle.log(&self.node, chunk).await.unwrap();
    }
}

const WORKLOAD: &str = "\
apiVersion: rebar.dev/v1
kind: Workload
metadata: {name: web, version: VERSION, summary: A server and who uses it, license: Apache-2.0}
spec:
  inputs:
    greeting: {schema: {type: string}, default: hello}
    password: {schema: {type: string}, secret: true}
  outputs:
    url: {from: {role: server, output: url, take: all}}
    token: {from: {role: server, output: token, take: all}, secret: true}
  groups:
    web: {summary: Serve, min: 1, roles: [server, client]}
";

const SERVER: &str = "\
apiVersion: rebar.dev/v1
kind: Role
metadata: {name: server, summary: Serve}
spec:
  scope: node
  runner: {type: script}
  inputs:
    greeting: {schema: {type: string}, from: {deployment: greeting}}
    password: {schema: {type: string}, from: {deployment: password}, secret: true}
  outputs:
    url: {schema: {type: string}}
    token: {schema: {type: string}, secret: true}
  phases:
    apply: {run: apply.sh, timeout: 1m}
    undo: {run: undo.sh, timeout: 1m}
";

/// The role `client` of the small workload.
pub const CLIENT: &str = "\
apiVersion: rebar.dev/v1
kind: Role
metadata: {name: client, summary: Use it}
spec:
  scope: node
  runner: {type: script}
  inputs:
    url: {schema: {type: string}, from: {role: server, output: url}}
  phases:
    apply: {run: apply.sh, timeout: 1m}
    undo: {run: undo.sh, timeout: 1m}
";

/// A small workload.
pub fn package(version: &str) -> Package {
    changed(version, &[])
}

/// The small workload with some texts of it exchanged.
pub fn changed(version: &str, changes: &[(&str, &str)]) -> Package {
    let change = |text: &str| {
        File::text(changes.iter().fold(text.replace("VERSION", version), |text, (old, new)| text.replace(old, new)))
    };
    let script = || File::script("#!/bin/sh\n");
    let files = [
        ("workload.yaml", change(WORKLOAD)),
        ("roles/server/role.yaml", change(SERVER)),
        ("roles/server/apply.sh", script()),
        ("roles/server/undo.sh", script()),
        ("roles/client/role.yaml", change(CLIENT)),
        ("roles/client/apply.sh", script()),
        ("roles/client/undo.sh", script()),
    ];
    Package::from_files(files.map(|(path, file)| (path.to_owned(), file))).unwrap()
}
