//! An engine that is killed and started again, and thousands of agents that lost it in the same moment: how long until all are back,
//! what that costs those who are back already, and how many came when there was no room. The agents' back-off is the real one.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rebar_link::Backoff;
use rebar_model::NodeName;
use rebar_proto::{
    MAX_MESSAGE,
    v1::{
        AgentMessage, Facts, Heartbeat, Hello, LogChunk, agent_client::AgentClient, agent_message::Body, engine_message,
    },
};
use rustls::ClientConfig;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    figure::{Bar, Figure},
    host::{self, Host, Ready},
    system::quantile,
    wire::{self, Dialled},
};

/// An attempt that no engine knows: a piece of its log is acknowledged and kept by nobody.
const NOBODYS: u64 = u64::MAX >> 1;
/// Agents that ask something all the time while the others come back.
const ASKING: usize = 100;
/// Between two questions of one agent.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Messages on their way to the engine, an agent.
const OUTBOUND: usize = 16;

/// The size of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many agents
    #[arg(long, default_value_t = 5_000)]
    agents: usize,
}

/// Round trips in milliseconds, since the last time that somebody looked.
type Trips = Arc<Mutex<Vec<f64>>>;

/// Measures it.
pub async fn run(args: Args) -> Result<Vec<Figure>> {
    let directory = tempfile::Builder::new().prefix("rebar-bench-").tempdir()?;
    let mut engine = host::Args::sized(args.agents, 1, 1);
    engine.directory = Some(directory.path().to_owned());
    let mut host = Host::start(&engine).await?;
    engine.door = host.ready.address;
    let trips = Trips::default();
    let _agents = connect(&host.ready, &trips)?;
    let first = host.order(&format!("here {}", args.agents)).await?;
    take(&trips);
    // What a round trip takes when nobody comes.
    sleep(ASK_EVERY * 25).await;
    let mut calm = take(&trips);
    host.kill().await?;
    let killed = Instant::now();
    let mut host = Host::start(&engine).await?;
    let down = killed.elapsed().as_secs_f64();
    take(&trips);
    let back = host.order(&format!("here {}", args.agents)).await?;
    let mut busy = take(&trips);
    Ok(vec![
        Figure::new("herd-all-back", back.seconds, "s", Bar::AtMost(60.0))
            .with("agents", args.agents)
            .with("engine_down_seconds", down)
            .with("first_time_seconds", first.seconds)
            .with("most_coming_at_once", back.most_coming)
            .with("sent_away", back.sent_away)
            .with("engine_cpu_seconds", back.cpu_seconds)
            .with("engine_memory_mb", back.memory_mb),
        Figure::new("herd-round-trip-p99", quantile(&mut busy, 0.99), "ms", Bar::AtMost(1_000.0))
            .with("p50_ms", quantile(&mut busy, 0.5))
            .with("round_trips", busy.len())
            .with("calm_p50_ms", quantile(&mut calm, 0.5))
            .with("calm_p99_ms", quantile(&mut calm, 0.99)),
    ])
}

fn take(trips: &Trips) -> Vec<f64> {
    std::mem::take(&mut trips.lock().unwrap_or_else(PoisonError::into_inner))
}

/// An agent for each node, that keeps a session open. They live until the set is dropped.
fn connect(ready: &Ready, trips: &Trips) -> Result<JoinSet<()>> {
    let mut agents = JoinSet::new();
    for (index, (node, certificate)) in ready.certificates.iter().enumerate() {
        let tls = Arc::new(wire::tls(&ready.ca_pem, Some((certificate, &ready.key_pem)))?);
        let trips = (index < ASKING).then(|| trips.clone());
        agents.spawn(keep(ready.address, tls, node.clone(), trips));
    }
    Ok(agents)
}

/// Keeps a session open, with the back-off of an agent.
async fn keep(address: SocketAddr, tls: Arc<ClientConfig>, node: NodeName, trips: Option<Trips>) {
    let mut backoff = Backoff::default();
    loop {
        match wire::dial(address, tls.clone()).await {
            Ok(Dialled::Open(channel)) => {
                let mut welcomed = None;
                // However it ended, the next one is tried.
                let _ = converse(AgentClient::new(channel), &node, trips.as_ref(), &mut welcomed).await;
                if let Some(since) = welcomed {
                    backoff.after_session(since.elapsed());
                }
            }
            Ok(Dialled::Later(after)) => backoff.told(after),
            // It is not there, or not yet.
            Err(_) => {}
        }
        sleep(backoff.next(rand::random())).await;
    }
}

async fn converse(
    client: AgentClient<tonic::transport::Channel>,
    node: &NodeName,
    trips: Option<&Trips>,
    welcomed: &mut Option<Instant>,
) -> Result<()> {
    let (out, said) = mpsc::channel(OUTBOUND);
    greet(&out, node).await?;
    let mut client = client.max_decoding_message_size(MAX_MESSAGE);
    let mut inbound = client.session(ReceiverStream::new(said)).await?.into_inner();
    let mut ask = interval(ASK_EVERY);
    ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut offset, mut asked) = (0, None);
    loop {
        tokio::select! {
            message = inbound.message() => match message?.and_then(|it| it.body) {
                Some(engine_message::Body::Welcome(_)) => *welcomed = Some(Instant::now()),
                Some(engine_message::Body::Ping(_)) => say(&out, Body::Heartbeat(Heartbeat {})).await?,
                Some(engine_message::Body::LogAck(_)) => if let (Some(at), Some(trips)) = (asked.take(), trips) {
                    let took: Duration = Instant::elapsed(&at);
                    trips.lock().unwrap_or_else(PoisonError::into_inner).push(took.as_secs_f64() * 1_000.0);
                },
                Some(_) => {}
                None => return Ok(()),
            },
            _ = ask.tick(), if trips.is_some() && asked.is_none() && welcomed.is_some() => {
                let data = b"?".to_vec();
                say(&out, Body::Log(LogChunk { attempt: NOBODYS, offset, data, ..LogChunk::default() })).await?;
                (offset, asked) = (offset + 1, Some(Instant::now()));
            }
        }
    }
}

/// Says hello, and what the machine is like.
async fn greet(out: &mpsc::Sender<AgentMessage>, node: &NodeName) -> Result<()> {
    let (agent_version, boot_id) = ("bench".to_owned(), "bench".to_owned());
    say(out, Body::Hello(Hello { agent_version, boot_id, ..Hello::default() })).await?;
    let facts = serde_json::json!({"hostname": node, "memory_mb": 1_024});
    say(out, Body::Facts(Facts { json: facts.to_string() })).await
}

/// Says something to the engine.
async fn say(out: &mpsc::Sender<AgentMessage>, body: Body) -> Result<()> {
    out.send(AgentMessage { body: Some(body) }).await.ok().context("the session is over")
}
