//! A simulated machine with its agent: a journal, attempts that are run once and take their time, results that are offered until they
//! are acknowledged. It comes in by the same door as the real ones do behind the gateway; what it does not do is TLS, gRPC and
//! running anything.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rebar_model::{
    AttemptId, AttemptKind, Epoch, Failure, FailureKind, Ident, NodeName, NodeRoleId, Phase, PhaseSpec, Report, Span,
};
use rebar_orchestrator::Handle;
use rebar_ports::{
    AgentCommand, AgentDoor, AgentGone, AgentHello, AgentSession, Clock, LogChunk, PhaseWork, SessionId, Work,
};
use serde_json::Value;
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    Basis, End, Scenario, SimulatedNode,
    clock::SimulatedClock,
    duration::{scaled, ticks},
    limits::REDIAL,
    tally::Tally,
};

/// What all machines share.
pub(crate) struct House {
    pub scenario: Arc<Scenario>,
    pub clock: Arc<SimulatedClock>,
    pub tally: Arc<Tally>,
    /// The engine; none while it is away.
    pub door: watch::Receiver<Option<Handle>>,
}

/// A simulated machine with its agent.
pub(crate) struct Machine {
    pub node: SimulatedNode,
    /// How many times as long everything takes, and by which fault.
    pub slow: Option<(usize, f64)>,
    house: Arc<House>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    link: Link,
    /// Counts the connections: what is said over an older one is lost.
    dialled: u64,
    session: Option<SessionId>,
    epoch: Epoch,
    journal: BTreeMap<AttemptId, Held>,
    /// How many attempts each node-role had here.
    numbers: BTreeMap<NodeRoleId, u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Link {
    #[default]
    Down,
    Up,
    /// The machine is gone for good.
    Lost,
}

enum Held {
    Running(AbortHandle, NodeRoleId),
    Ended(Box<Report>),
}

struct Session {
    machine: Arc<Machine>,
    dialled: u64,
}

impl AgentSession for Session {
    fn send(&self, command: AgentCommand) -> Result<(), AgentGone> {
        let mut state = self.machine.lock();
        if state.dialled != self.dialled {
            return Err(AgentGone);
        }
        if state.link != Link::Up {
            // Nobody knows yet that the link is cut.
            return Ok(());
        }
        match command {
            AgentCommand::Dispatch(work) => self.machine.dispatched(&mut state, work),
            AgentCommand::Cancel { attempt, .. } => self.machine.cancelled(&mut state, attempt),
            AgentCommand::ResultStored { attempt } => drop(state.journal.remove(&attempt)),
            // What agents are is not rehearsed.
            AgentCommand::LogStored { .. } | AgentCommand::Upgrade(_) => {}
        }
        Ok(())
    }
}

impl Machine {
    pub fn new(node: SimulatedNode, slow: Option<(usize, f64)>, house: Arc<House>) -> Arc<Self> {
        Arc::new(Self { node, slow, house, state: Mutex::default() })
    }

    pub fn name(&self) -> &NodeName {
        &self.node.name
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine, if it is there and the link to it works.
    fn door(&self) -> Option<Handle> {
        let up = self.lock().link == Link::Up;
        up.then(|| self.house.door.borrow().clone()).flatten()
    }

    /// Dials until the engine answers, says what it holds, and offers what ended meanwhile.
    pub async fn dial(self: &Arc<Self>) {
        let handle = loop {
            let handle = self.house.door.borrow().clone();
            if let Some(handle) = handle
                && self.greet(&handle).await
            {
                break handle;
            }
            if self.is_lost() {
                return;
            }
            self.house.clock.sleep(REDIAL).await;
        };
        let ended: Vec<(AttemptId, Report)> = {
            let state = self.lock();
            let ended = state.journal.iter().filter_map(|(attempt, held)| match held {
                Held::Ended(report) => Some((*attempt, (**report).clone())),
                Held::Running(..) => None,
            });
            ended.collect()
        };
        for (attempt, report) in ended {
            // What is not taken is offered with the next connection.
            let _ = handle.ended(self.name(), attempt, report).await;
        }
    }

    /// True when the engine took this agent in.
    async fn greet(self: &Arc<Self>, handle: &Handle) -> bool {
        let (hello, dialled) = {
            let mut state = self.lock();
            if state.link == Link::Lost {
                return false;
            }
            state.link = Link::Up;
            state.dialled += 1;
            let held = state.journal.keys().copied().collect();
            let version = self.node.facts.agent_version.clone();
            let (boot_id, epoch) = ("simulated".to_owned(), state.epoch);
            let hello = AgentHello { agent_version: version, boot_id, epoch, held, upgrade: None };
            (hello, state.dialled)
        };
        let session = Arc::new(Session { machine: self.clone(), dialled });
        let taken = handle.connected(self.name(), hello, session).await;
        let mut state = self.lock();
        if let Ok((session, epoch)) = taken {
            (state.session, state.epoch) = (Some(session), epoch);
            return true;
        }
        if state.dialled == dialled && state.link == Link::Up {
            state.link = Link::Down;
        }
        false
    }

    /// Reports about the machine.
    pub async fn report_facts(&self) {
        if let Some(door) = self.door() {
            // An engine that is not there asks for the facts by being there again.
            let _ = door.facts(self.name(), self.node.facts.clone()).await;
        }
    }

    pub fn is_lost(&self) -> bool {
        self.lock().link == Link::Lost
    }

    /// The node-roles that run here now.
    pub fn running(&self) -> Vec<NodeRoleId> {
        let state = self.lock();
        let running = state.journal.values().filter_map(|it| match it {
            Held::Running(_, id) => Some(id.clone()),
            Held::Ended(_) => None,
        });
        running.collect()
    }

    /// Takes the link down; the session that nobody knows to be dead.
    pub fn cut(&self) -> Option<SessionId> {
        let mut state = self.lock();
        if state.link != Link::Lost {
            state.link = Link::Down;
        }
        state.session.take()
    }

    /// The machine is gone, with everything that ran on it.
    pub fn lose(&self) -> Option<SessionId> {
        let mut state = self.lock();
        state.link = Link::Lost;
        for held in std::mem::take(&mut state.journal).into_values() {
            if let Held::Running(task, _) = held {
                task.abort();
            }
        }
        state.session.take()
    }

    /// An attempt is run once, however often it is dispatched.
    fn dispatched(self: &Arc<Self>, state: &mut State, work: Box<Work>) {
        state.epoch = state.epoch.max(work.epoch);
        let attempt = work.attempt;
        if state.journal.contains_key(&attempt) {
            return;
        }
        let number = state.numbers.entry(work.node_role.clone()).or_default();
        *number += 1;
        let (machine, number, id) = (self.clone(), *number, work.node_role.clone());
        let task = tokio::spawn(async move {
            if let Some(door) = machine.door() {
                let _ = door.started(machine.name(), attempt).await;
            }
            let report = machine.perform(&work, number).await;
            machine.ended(attempt, report).await;
        });
        state.journal.insert(attempt, Held::Running(task.abort_handle(), id));
    }

    fn cancelled(self: &Arc<Self>, state: &mut State, attempt: AttemptId) {
        if let Some(Held::Running(task, _)) = state.journal.get(&attempt) {
            task.abort();
        } else if state.journal.contains_key(&attempt) {
            return;
        }
        state.journal.insert(attempt, Held::Ended(Box::new(Report::Cancelled)));
        let machine = self.clone();
        tokio::spawn(async move { machine.ended(attempt, Report::Cancelled).await });
    }

    /// Writes the end of an attempt down, and offers it.
    async fn ended(&self, attempt: AttemptId, report: Report) {
        self.lock().journal.insert(attempt, Held::Ended(Box::new(report.clone())));
        if let Some(door) = self.door() {
            // What is not taken is offered with the next connection.
            let _ = door.ended(self.name(), attempt, report).await;
        }
    }

    /// Lets the time of an attempt pass, phase by phase, and says how it ended.
    async fn perform(&self, work: &Work, number: u32) -> Report {
        let house = &self.house;
        let (chance, id) = (house.scenario.chance(), &work.node_role);
        let estimate = house.scenario.estimate(&id.role);
        let (fault, factor) = self.slow.map_or((None, 1.0), |(fault, factor)| (Some(fault), factor));
        if let Some(fault) = fault {
            house.tally.attempt(fault, id);
        }
        let drawn = estimate.draw(chance, &[id, &number]);
        // A time-out is for what is out of the ordinary: faults and slow nodes, and what a person says.
        let usual = if estimate.basis == Basis::Given { drawn } else { drawn.min(fitting(&work.phases)) };
        let whole = scaled(usual, factor);
        let doom = house.scenario.doom(id, number);
        let start = house.clock.now();
        let mut spent = Span::default();
        for piece in pieces(&work.phases, whole) {
            let doomed = doom.filter(|_| piece.decides);
            let length = match doomed {
                Some((_, End::Hang)) => piece.timeout,
                Some((_, End::Fail | End::Tempfail)) => scaled(piece.length, chance.unit("breaks", &[id, &number])),
                None => piece.length,
            };
            if let (Some(door), Some(phase)) = (self.door(), piece.phase) {
                let _ = AgentDoor::progress(&door, self.name(), work.attempt, Some(phase), 0, String::new()).await;
            }
            spent = spent.plus(length.min(piece.timeout));
            house.clock.sleep_until(ticks(spent).after(start)).await;
            if let Some(failure) = failure(&piece, doomed.map(|it| it.1), length, factor) {
                if let Some((fault, _)) = doomed {
                    house.tally.attempt(fault, id);
                }
                self.log(work, &piece, &failure).await;
                return Report::Failed(failure);
            }
        }
        match self.outputs(work) {
            Ok(outputs) => Report::Succeeded { outputs, converged: false, note: None },
            Err(message) => Report::Failed(failed(FailureKind::BadOutputs, Some(Phase::Apply), None, message)),
        }
    }

    fn outputs(&self, work: &Work) -> Result<BTreeMap<Ident, Value>, String> {
        let (scenario, id) = (&self.house.scenario, &work.node_role);
        if work.kind == AttemptKind::Undo {
            return Ok(BTreeMap::new());
        }
        let role = scenario.workload.roles.get(&id.role).ok_or("the role is not in the workload")?;
        let outputs = role.manifest.spec.outputs.keys();
        outputs.map(|name| Ok((name.clone(), scenario.output(&id.role, name, id)?))).collect()
    }

    async fn log(&self, work: &Work, piece: &Piece, failure: &Failure) {
        let text = format!("{}\n", failure.message);
        let (bytes, at) = (text.len() as u64, self.house.clock.now());
        let chunk = LogChunk { attempt: work.attempt, offset: 0, phase: piece.phase, at, text, bytes, lost: 0 };
        if let Some(door) = self.door() {
            let _ = door.log(self.name(), chunk).await;
        }
    }
}

/// One phase of an attempt and the part of its time that it takes.
struct Piece {
    phase: Option<Phase>,
    length: Span,
    timeout: Span,
    /// It is the one that faults of attempts hit.
    decides: bool,
}

/// How much of an attempt's time a phase takes: most of it is for what changes the machine.
fn weight(phase: Phase) -> f64 {
    match phase {
        Phase::Check => 0.05,
        Phase::Drain => 0.3,
        Phase::Verify => 0.15,
        Phase::Apply | Phase::Undo => 0.8,
    }
}

/// The longest time of an attempt with which no phase comes near its time-out.
fn fitting(phases: &[PhaseWork]) -> Span {
    let sum: f64 = phases.iter().map(|it| weight(it.phase)).sum();
    let longest = phases.iter().map(|it| scaled(it.timeout, 0.9 * sum / weight(it.phase))).min();
    longest.unwrap_or(PhaseSpec::DEFAULT_TIMEOUT)
}

/// The time of an attempt, parted over its phases.
fn pieces(phases: &[PhaseWork], whole: Span) -> Vec<Piece> {
    let sum: f64 = phases.iter().map(|it| weight(it.phase)).sum();
    if phases.is_empty() {
        let timeout = PhaseSpec::DEFAULT_TIMEOUT;
        return vec![Piece { phase: None, length: whole, timeout, decides: true }];
    }
    let heavy = phases.iter().rposition(|it| matches!(it.phase, Phase::Apply | Phase::Undo));
    let decides = heavy.unwrap_or(phases.len() - 1);
    let piece = |(place, it): (usize, &PhaseWork)| Piece {
        phase: Some(it.phase),
        length: scaled(whole, weight(it.phase) / sum),
        timeout: it.timeout,
        decides: place == decides,
    };
    phases.iter().enumerate().map(piece).collect()
}

/// How a phase failed; none if it did not.
fn failure(piece: &Piece, doomed: Option<End>, length: Span, factor: f64) -> Option<Failure> {
    match doomed {
        Some(End::Fail) => Some(failed(FailureKind::Error, piece.phase, Some(1), "a rehearsed fault".to_owned())),
        Some(End::Tempfail) => {
            let message = "a rehearsed fault, to be tried again".to_owned();
            Some(failed(FailureKind::Tempfail, piece.phase, Some(75), message))
        }
        Some(End::Hang) => {
            let message = format!("a rehearsed fault: it hung until its time-out of {}", piece.timeout);
            Some(failed(FailureKind::Timeout, piece.phase, None, message))
        }
        None if length > piece.timeout => {
            let slow = if factor > 1.0 { format!("; the node is {factor} times as slow") } else { String::new() };
            let message = format!("it was not done within {}{slow}", piece.timeout);
            Some(failed(FailureKind::Timeout, piece.phase, None, message))
        }
        None => None,
    }
}

fn failed(kind: FailureKind, phase: Option<Phase>, exit_code: Option<i32>, message: String) -> Failure {
    Failure { kind, phase, exit_code, message, retry_after: None }
}
