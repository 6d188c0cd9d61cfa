//! A running door on a free port, with everything around it, and an agent's client.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use rebar_gateway::{Arrivals, Gateway, GatewayConfig, GatewayError, Limits};
use rebar_ports::{Authority, Clock, Identity};
use rebar_proto::v1::{
    AgentMessage, EngineMessage, Heartbeat, Hello, Welcome, agent_client::AgentClient, agent_message, engine_message,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Status, Streaming,
    transport::{Certificate, Channel, ClientTlsConfig},
};

use crate::{
    ca::{Ca, Validity},
    door::FakeDoor,
};

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A clock that moves when a test says so.
pub struct FakeClock(watch::Sender<Timestamp>);

impl FakeClock {
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(now)))
    }

    pub fn set(&self, now: &str) {
        self.0.send_replace(now.parse().unwrap());
    }
}

#[async_trait]
impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn sleep_until(&self, at: Timestamp) {
        _ = self.0.subscribe().wait_for(|now| *now >= at).await;
    }
}

/// A running door.
pub struct Fixture {
    pub address: SocketAddr,
    pub ca: Arc<Ca>,
    pub door: Arc<FakeDoor>,
    pub clock: Arc<FakeClock>,
    pub arrivals: Arc<Arrivals>,
    pub stop: CancellationToken,
    pub serving: JoinHandle<Result<(), GatewayError>>,
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clock = FakeClock::at("2026-05-01T12:00:00Z".parse().unwrap());
        let (ca, door, stop) = (Arc::new(Ca::new()), FakeDoor::new(), CancellationToken::new());
        let config = GatewayConfig { sans: vec!["127.0.0.1".into()], limits, ..GatewayConfig::default() };
        let arrivals = config.arrivals.clone();
        let serving = Gateway::serve(listener, door.clone(), ca.clone(), clock.clone(), config, stop.clone());
        Self { address, ca, door, clock, arrivals, stop, serving: tokio::spawn(serving) }
    }

    /// A channel with this client certificate, or none. A refused handshake shows at the first call.
    pub async fn channel(&self, identity: Option<&Identity>) -> Result<Channel, tonic::transport::Error> {
        channel(self.address, self.ca.ca_pem(), identity).await
    }

    /// An agent of a node, connected, silent.
    pub async fn agent(&self, node: &str) -> Agent {
        let identity = self.ca.agent(node, Validity::Long);
        self.agent_with(&identity).await
    }

    pub async fn agent_with(&self, identity: &Identity) -> Agent {
        let mut client = AgentClient::new(self.channel(Some(identity)).await.unwrap());
        let (say, said) = mpsc::channel(64);
        let answer = timeout(PATIENCE, client.session(ReceiverStream::new(said))).await.unwrap().unwrap();
        Agent { client, say, hear: answer.into_inner() }
    }

    /// An agent of a node that has been welcomed.
    pub async fn welcomed(&self, node: &str) -> Agent {
        let mut agent = self.agent(node).await;
        let welcome = agent.hello(0).await.unwrap();
        assert_eq!(welcome.node, node);
        agent
    }
}

/// A channel to a door whose CA is known.
pub async fn channel(
    address: SocketAddr,
    ca_pem: &str,
    identity: Option<&Identity>,
) -> Result<Channel, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new().domain_name("engine.rebar").ca_certificate(Certificate::from_pem(ca_pem));
    if let Some(identity) = identity {
        tls = tls.identity(tonic::transport::Identity::from_pem(&identity.chain_pem, &identity.key_pem));
    }
    Channel::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap().connect().await
}

/// The agent's end of a session.
pub struct Agent {
    pub client: AgentClient<Channel>,
    pub say: mpsc::Sender<AgentMessage>,
    hear: Streaming<EngineMessage>,
}

impl Agent {
    pub async fn say(&self, body: agent_message::Body) {
        self.say.send(AgentMessage { body: Some(body) }).await.unwrap();
    }

    /// Says hello and takes the welcome, which must come first.
    pub async fn hello(&mut self, epoch: u64) -> Result<Welcome, Status> {
        let hello =
            Hello { agent_version: "0.1.0".into(), boot_id: "b".into(), epoch, held: vec![], upgrade_failed: None };
        self.say(agent_message::Body::Hello(hello)).await;
        match self.next().await? {
            engine_message::Body::Welcome(welcome) => Ok(welcome),
            other => panic!("{other:?} before welcome"),
        }
    }

    /// The next message, pings too.
    async fn next(&mut self) -> Result<engine_message::Body, Status> {
        let message = timeout(PATIENCE, self.hear.message()).await.expect("the door says nothing")?;
        Ok(message.expect("the stream ended without a status").body.unwrap())
    }

    /// The next message that is no ping; pings are answered.
    pub async fn hear(&mut self) -> Result<engine_message::Body, Status> {
        loop {
            match self.next().await? {
                engine_message::Body::Ping(_) => {
                    let heartbeat = AgentMessage { body: Some(agent_message::Body::Heartbeat(Heartbeat {})) };
                    _ = self.say.try_send(heartbeat);
                }
                other => return Ok(other),
            }
        }
    }

    /// How the session ends.
    pub async fn end(&mut self) -> Status {
        loop {
            match timeout(PATIENCE, self.hear.message()).await.expect("the session does not end") {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("the stream ended"),
                Err(status) => return status,
            }
        }
    }
}
