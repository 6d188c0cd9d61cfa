//! Simulated agents inside of this process: they take what the engine dispatches and say at once that it is done, through the same
//! door that the gateway uses. What they do not do is TLS, gRPC and running anything.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use rebar_model::{Epoch, Facts, NodeName, Report};
use rebar_orchestrator::Handle;
use rebar_ports::{AgentCommand, AgentDoor, AgentGone, AgentHello, AgentSession, Work};
use serde_json::json;
use tokio::sync::{mpsc, watch};

/// What was dispatched to a node, and when.
type Order = (NodeName, Box<Work>, Instant);

/// Agents, and how long each attempt took, from its dispatch until its end was durable.
pub struct Agents {
    latencies: mpsc::UnboundedReceiver<Duration>,
    orders: mpsc::UnboundedSender<Order>,
    takes: watch::Sender<Duration>,
}

struct Session {
    node: NodeName,
    orders: mpsc::UnboundedSender<Order>,
}

impl AgentSession for Session {
    fn send(&self, command: AgentCommand) -> Result<(), AgentGone> {
        match command {
            AgentCommand::Dispatch(work) => {
                self.orders.send((self.node.clone(), work, Instant::now())).map_err(|_| AgentGone)
            }
            _ => Ok(()),
        }
    }
}

impl Agents {
    /// Connects an agent for each node.
    pub async fn connect(handle: &Handle, nodes: &[NodeName]) -> Result<Self> {
        let (orders, mut received) = mpsc::unbounded_channel::<Order>();
        let (done, latencies) = mpsc::unbounded_channel();
        open(handle, nodes, &orders).await?;
        let handle = handle.clone();
        let (takes, taken) = watch::channel(Duration::ZERO);
        tokio::spawn(async move {
            while let Some((node, work, since)) = received.recv().await {
                let (handle, done, takes) = (handle.clone(), done.clone(), *taken.borrow());
                tokio::spawn(async move {
                    if !takes.is_zero() {
                        tokio::time::sleep(takes).await;
                    }
                    if run(&handle, &node, &work).await.is_ok() {
                        // Nobody counts any more when the measurement is over.
                        let _ = done.send(since.elapsed());
                    }
                });
            }
        });
        Ok(Self { latencies, orders, takes })
    }

    /// Connects one more.
    pub async fn join(&self, handle: &Handle, node: &NodeName) -> Result<()> {
        open(handle, std::slice::from_ref(node), &self.orders).await
    }

    /// Has them take as long for each attempt from now on.
    pub fn take(&self, takes: Duration) {
        self.takes.send_replace(takes);
    }

    /// The latencies of the next attempts that end, in milliseconds.
    pub async fn done(&mut self, count: usize) -> Vec<f64> {
        let mut seen = Vec::with_capacity(count);
        while seen.len() < count {
            match self.latencies.recv().await {
                Some(it) => seen.push(it.as_secs_f64() * 1_000.0),
                None => break,
            }
        }
        seen
    }
}

/// Connects agents that take what they are sent and never say a word about it: what was dispatched to whom.
pub async fn silent(
    handle: &Handle,
    nodes: &[NodeName],
) -> Result<mpsc::UnboundedReceiver<(NodeName, rebar_model::AttemptId)>> {
    let (orders, mut received) = mpsc::unbounded_channel::<Order>();
    open(handle, nodes, &orders).await?;
    let (dispatched, seen) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        // Whoever sends orders lives as long as the sessions.
        while let Some((node, work, _)) = received.recv().await {
            if dispatched.send((node, work.attempt)).is_err() {
                return;
            }
        }
    });
    Ok(seen)
}

async fn open(handle: &Handle, nodes: &[NodeName], orders: &mpsc::UnboundedSender<Order>) -> Result<()> {
    for node in nodes {
        let hello = AgentHello {
            agent_version: "bench".to_owned(),
            boot_id: "bench".to_owned(),
            epoch: Epoch(0),
            held: Vec::new(),
            upgrade: None,
        };
        let session = Arc::new(Session { node: node.clone(), orders: orders.clone() });
        handle.connected(node, hello, session).await?;
        handle.facts(node, facts(node)).await?;
    }
    Ok(())
}

fn facts(node: &NodeName) -> Facts {
    Facts { hostname: node.to_string(), memory_mb: 1_024, ..Facts::default() }
}

/// Says that an attempt is in the journal, and in the same breath that it has ended, as an agent does with work that takes no time.
async fn run(handle: &Handle, node: &NodeName, work: &Work) -> Result<()> {
    let out = work.inputs.values().next().cloned().unwrap_or_else(|| json!(1));
    let outputs = match "out".parse() {
        Ok(name) => BTreeMap::from([(name, out)]),
        Err(_) => BTreeMap::new(),
    };
    let report = Report::Succeeded { outputs, converged: false, note: None };
    let (started, ended) = tokio::join!(handle.started(node, work.attempt), handle.ended(node, work.attempt, report));
    started?;
    ended?;
    Ok(())
}
