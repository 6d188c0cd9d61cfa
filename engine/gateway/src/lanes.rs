//! What an agent said and the engine has not stored yet: many attempts at one time, each attempt's messages in their order. Nothing
//! here reads or writes the stream.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use rebar_model::{AttemptId, Facts, NodeName, Phase, Report, UpgradeReport};
use rebar_ports::{AgentDoor, DoorError, LogChunk};

use crate::limits::{STORING, WAITING, WAITING_BYTES};

/// Something that the engine is to do about a message.
#[derive(Debug)]
pub(crate) enum Job {
    Facts(Box<Facts>),
    Started(AttemptId),
    Log(LogChunk),
    Progress { attempt: AttemptId, phase: Option<Phase>, percent: u32, text: String },
    Ended(AttemptId, Box<Report>),
    UpgradeFailed(Box<UpgradeReport>),
}

/// What is durable now, for the agent to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    Quietly,
    Result(AttemptId),
    Log(AttemptId, u64),
}

/// Whose order matters: an attempt's, or that of the node itself.
type Lane = Option<AttemptId>;

impl Job {
    fn lane(&self) -> Lane {
        match self {
            Self::Facts(_) | Self::UpgradeFailed(_) => None,
            Self::Log(chunk) => Some(chunk.attempt),
            Self::Started(attempt) | Self::Progress { attempt, .. } | Self::Ended(attempt, _) => Some(*attempt),
        }
    }

    async fn run(self, door: &dyn AgentDoor, node: &NodeName) -> Result<Stored, DoorError> {
        match self {
            Self::Facts(facts) => door.facts(node, *facts).await.map(|()| Stored::Quietly),
            Self::Started(attempt) => door.started(node, attempt).await.map(|()| Stored::Quietly),
            Self::Progress { attempt, phase, percent, text } => {
                door.progress(node, attempt, phase, percent, text).await.map(|()| Stored::Quietly)
            }
            Self::Log(chunk) => {
                let attempt = chunk.attempt;
                door.log(node, chunk).await.map(|offset| Stored::Log(attempt, offset))
            }
            Self::UpgradeFailed(report) => door.upgrade_failed(node, *report).await.map(|()| Stored::Quietly),
            Self::Ended(attempt, report) => door.ended(node, attempt, *report).await.map(|()| Stored::Result(attempt)),
        }
    }
}

/// A job that is over.
struct Done {
    lane: Lane,
    size: usize,
    result: Result<Stored, DoorError>,
}

/// The jobs of one session.
pub(crate) struct Lanes {
    door: Arc<dyn AgentDoor>,
    node: NodeName,
    /// What waits in each lane that has anything; a lane of which one job runs may be empty.
    queued: BTreeMap<Lane, VecDeque<(Job, usize)>>,
    /// Lanes of which a job waits and none runs, each once.
    ready: VecDeque<Lane>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    count: usize,
    bytes: usize,
}

impl Lanes {
    /// No jobs yet.
    pub(crate) fn new(door: Arc<dyn AgentDoor>, node: NodeName) -> Self {
        Self {
            door,
            node,
            queued: BTreeMap::new(),
            ready: VecDeque::new(),
            running: FuturesUnordered::new(),
            count: 0,
            bytes: 0,
        }
    }

    /// Whether no more should be read from the agent.
    pub(crate) fn is_full(&self) -> bool {
        self.count >= WAITING || self.bytes >= WAITING_BYTES
    }

    /// Whether there is nothing to wait for.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Takes in a job that came as a message of so many bytes.
    pub(crate) fn push(&mut self, job: Job, size: usize) {
        let lane = job.lane();
        self.count += 1;
        self.bytes += size;
        self.queued
            .entry(lane)
            .or_insert_with(|| {
                self.ready.push_back(lane);
                VecDeque::new()
            })
            .push_back((job, size));
        self.start();
    }

    /// The next job that is over; none when idle. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Result<Stored, DoorError>> {
        let done = self.running.next().await?;
        self.count -= 1;
        self.bytes -= done.size;
        if self.queued.get(&done.lane).is_some_and(VecDeque::is_empty) {
            self.queued.remove(&done.lane);
        } else {
            self.ready.push_back(done.lane);
        }
        self.start();
        Some(done.result)
    }

    fn start(&mut self) {
        while self.running.len() < STORING
            && let Some(lane) = self.ready.pop_front()
        {
            let Some((job, size)) = self.queued.get_mut(&lane).and_then(VecDeque::pop_front) else { continue };
            let (door, node) = (self.door.clone(), self.node.clone());
            let run = async move { Done { lane, size, result: job.run(&*door, &node).await } };
            self.running.push(run.boxed());
        }
    }
}

#[cfg(test)]
mod tests;
