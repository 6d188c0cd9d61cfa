//! The network between agents and engines: connections that carry the protocol's own messages, late, some of them twice, until they
//! break or fall silent. Who is at the ends does not know more than a socket would tell.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use futures::StreamExt;
use rebar_gateway::{OutStream, Sessions};
use rebar_model::NodeName;
use rebar_proto::v1::{AgentMessage, EngineMessage, agent_message, engine_message};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{chance::Chance, gate::Gate};

/// Messages that a connection holds.
const IN_FLIGHT: usize = 16;

/// The network.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) chance: Chance,
    /// Machines whose packets get lost.
    dark: Arc<Mutex<BTreeSet<NodeName>>>,
    /// Ends the connections that are open now.
    broken: Arc<Mutex<CancellationToken>>,
}

/// The agent's end of a connection.
pub(crate) struct Line {
    /// What it says.
    pub(crate) says: mpsc::Sender<AgentMessage>,
    /// What it hears; ends with the connection.
    pub(crate) hears: mpsc::Receiver<EngineMessage>,
    /// Ends the connection.
    pub(crate) cut: CancellationToken,
}

/// Where a connection leads.
pub(crate) struct Far {
    /// The process at the other end.
    pub(crate) gate: Gate,
    /// Its sessions.
    pub(crate) sessions: Arc<Sessions>,
}

impl Network {
    pub(crate) fn new(chance: Chance) -> Self {
        Self { chance, dark: Arc::default(), broken: Arc::default() }
    }

    /// Loses a machine's packets, or no longer.
    pub(crate) fn darken(&self, machine: &NodeName, dark: bool) {
        let mut all = self.dark.lock().unwrap_or_else(PoisonError::into_inner);
        if dark {
            all.insert(machine.clone())
        } else {
            all.remove(machine)
        };
    }

    /// Breaks every connection.
    pub(crate) fn break_all(&self) {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *broken).cancel();
    }

    /// Whether a machine's packets get lost.
    pub(crate) fn is_dark(&self, machine: &NodeName) -> bool {
        self.dark.lock().unwrap_or_else(PoisonError::into_inner).contains(machine)
    }

    /// Connects a machine; none when there is no way or nobody there.
    pub(crate) async fn connect(&self, machine: &NodeName, far: Option<Far>) -> Option<Line> {
        self.chance.pause(1..60).await;
        let Far { gate, sessions } = far?;
        if self.is_dark(machine) {
            return None;
        }
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let cut = broken.child_token();
        let (to_engine, inbound) = mpsc::channel(IN_FLIGHT);
        let out = sessions.open(machine.clone(), cut.clone(), ReceiverStream::new(inbound)).ok()?;
        let (says, said) = mpsc::channel(IN_FLIGHT);
        let (to_agent, hears) = mpsc::channel(IN_FLIGHT);
        let wire = Wire { network: self.clone(), machine: machine.clone(), gate, cut: cut.clone() };
        tokio::spawn(wire.clone().up(said, to_engine));
        tokio::spawn(wire.down(out, to_agent));
        Some(Line { says, hears, cut })
    }
}

/// One connection.
#[derive(Clone)]
struct Wire {
    network: Network,
    machine: NodeName,
    gate: Gate,
    cut: CancellationToken,
}

impl Wire {
    /// Carries what the agent says.
    async fn up(self, mut said: mpsc::Receiver<AgentMessage>, engine: mpsc::Sender<Result<AgentMessage, Status>>) {
        let carry = async {
            while let Some(message) = said.recv().await {
                let times = self.travel().await;
                for _ in 0..if may_come_twice(&message) { times } else { 1 } {
                    if engine.send(Ok(message.clone())).await.is_err() {
                        return;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = self.cut.cancelled() => {}
            // The other machine's kernel says that nobody is there, or it is gone with its process.
            () = self.gate.death() => self.cut.cancel(),
            () = carry => {}
        }
        let _ = engine.send(Err(Status::unavailable("simulated: the connection broke"))).await;
    }

    /// Carries what the engine says.
    async fn down(self, mut out: OutStream, agent: mpsc::Sender<EngineMessage>) {
        let carry = async {
            while let Some(Ok(message)) = out.next().await {
                self.gate.pass().await;
                let times = self.travel().await;
                for _ in 0..if is_order(&message) { times } else { 1 } {
                    if agent.send(message.clone()).await.is_err() {
                        return;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = self.cut.cancelled() => {}
            () = carry => {}
        }
        self.cut.cancel();
    }

    /// The time that a message takes, and how often it comes. Some break the connection; in the dark nothing comes at all.
    async fn travel(&self) -> usize {
        let chance = &self.network.chance;
        chance.pause(0..25).await;
        while self.network.is_dark(&self.machine) {
            // As long as neither end gives up, the kernels send it again.
            chance.pause(200..400).await;
        }
        if chance.hits(chance.faults().drops, 1_000) {
            self.cut.cancel();
        }
        if chance.hits(chance.faults().doubles, 100) { 2 } else { 1 }
    }
}

/// Within one stream nothing comes twice, but an agent that lost its connection says again what it does not know to have arrived.
fn may_come_twice(message: &AgentMessage) -> bool {
    use agent_message::Body;
    matches!(message.body, Some(Body::Started(_) | Body::Log(_) | Body::Result(_) | Body::Facts(_) | Body::Progress(_)))
}

/// What an engine may say again, in the same session or in the next.
fn is_order(message: &EngineMessage) -> bool {
    use engine_message::Body;
    matches!(message.body, Some(Body::Dispatch(_) | Body::Cancel(_) | Body::ResultAck(_) | Body::LogAck(_)))
}
