//! The simulation itself: one queue of things that will happen, ordered by time, and one step after the other. The engine's part is the
//! real one: step, commit, publish, effects; and a restart in between forgets whatever was not committed.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

use fastrand::Rng;
use jiff::Timestamp;
use rebar_model::{
    Actor, Attempt, AttemptId, AttemptKind, Change, DeploymentSpec, Digest, Epoch, Failure, FailureKind, Ident, Intent,
    NodeName, Record, Report, RoleName, Span, State, World,
};
use rebar_scheduler::{Command, Effect, Input, invariants, step};
use serde_json::json;

use crate::{
    agent::Agent,
    generate::{self, deployment_name, parse},
    operator::{self, Care},
};

/// How much goes wrong.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Attempts that fail, of a hundred.
    pub failures: u8,
    /// Messages after which a link drops, of a thousand.
    pub drops: u16,
    /// Steps after which the engine is killed, of a thousand.
    pub kills: u16,
    /// Dispatches that are said twice, of a hundred.
    pub doubles: u8,
    /// Whims of the operator in the whole run.
    pub whims: u32,
    /// Nodes that vanish for good.
    pub losses: u32,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self { failures: 0, drops: 0, kills: 0, doubles: 0, whims: 0, losses: 0 };
    /// Everything goes wrong.
    pub const STORM: Self = Self { failures: 20, drops: 40, kills: 15, doubles: 20, whims: 12, losses: 1 };
}

/// What a simulation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The hash of the whole history.
    pub history: Digest,
    /// How many changes it has.
    pub changes: usize,
    /// How many attempts were started.
    pub attempts: usize,
    /// How many steps it took.
    pub steps: usize,
}

/// More steps than any run of this size can need: a run that gets here does not end.
const MAX_STEPS: usize = 60_000;

#[derive(Debug, Clone)]
enum Event {
    /// A message reaches the engine, if its session is still the same.
    ToEngine { node: NodeName, session: u64, input: Input },
    /// A dispatch reaches an agent.
    Dispatch { node: NodeName, session: u64, attempt: Box<Attempt> },
    /// A cancel reaches an agent.
    Cancel { node: NodeName, session: u64, attempt: AttemptId },
    /// An acknowledgement reaches an agent.
    Release { node: NodeName, session: u64, attempt: AttemptId },
    /// An attempt ends on its node.
    Finish { node: NodeName, attempt: AttemptId, report: Report },
    /// A link comes back.
    Connect { node: NodeName },
    /// The services look at what is desired.
    Observe,
    /// An operator has a whim.
    Whim,
    /// A node vanishes for good.
    Lose,
    /// Time to look at the timers.
    Tick,
}

/// A whole Rebar in one thread.
pub struct Sim {
    rng: Rng,
    faults: Faults,
    now: Timestamp,
    order: u64,
    queue: BinaryHeap<Reverse<(Timestamp, u64)>>,
    events: BTreeMap<u64, Event>,
    world: World,
    committed: Vec<Record>,
    agents: BTreeMap<NodeName, Agent>,
    attempts: BTreeMap<AttemptId, u32>,
    /// The protected roles that the operator named at some time.
    named: BTreeSet<RoleName>,
    steps: usize,
}

impl Sim {
    /// A deployment of random roles on random nodes, all from one seed.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let mut sim = Self {
            rng: Rng::with_seed(seed),
            faults,
            now: Timestamp::UNIX_EPOCH,
            order: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            world: World::default(),
            committed: Vec::new(),
            agents: BTreeMap::new(),
            attempts: BTreeMap::new(),
            named: BTreeSet::new(),
            steps: 0,
        };
        sim.begin();
        sim
    }

    fn begin(&mut self) {
        self.start_engine();
        let roles = self.rng.usize(2..10);
        let workload = generate::workload(&mut self.rng, roles, 0);
        let digest = workload.digest;
        self.input(operator::command(Command::ImportWorkload { workload: Arc::new(workload) }));
        let (front, back, spare) = (self.rng.usize(1..4), self.rng.usize(..5), 2);
        let names =
            |prefix: &str, count| (1..=count).map(|it| parse(&format!("{prefix}-{it}"))).collect::<Vec<NodeName>>();
        let (front, back, spare) = (names("f", front), names("b", back), names("s", spare));
        for node in front.iter().chain(&back).chain(&spare) {
            self.input(operator::add_node(node, self.now));
            self.agents.insert(node.clone(), Agent::default());
            let node = node.clone();
            self.later(0..3_000, Event::Connect { node });
        }
        let groups = BTreeMap::from([(parse("front"), front), (parse("back"), back)]);
        let spec = DeploymentSpec { workload: digest, groups, profiles: Vec::new() };
        self.input(operator::command(Command::CreateDeployment { name: deployment_name(), spec }));
        self.apply();
        for _ in 0..self.faults.whims {
            self.later(0..120_000, Event::Whim);
        }
        for _ in 0..self.faults.losses {
            self.later(0..60_000, Event::Lose);
        }
    }

    fn apply(&mut self) {
        if let Some(input) = operator::apply(&self.world, Care::Names) {
            self.input(input);
        }
    }

    fn later(&mut self, millis: std::ops::Range<u64>, event: Event) {
        let delay = if millis.is_empty() { millis.start } else { self.rng.u64(millis) };
        self.order += 1;
        self.queue.push(Reverse((Span::from_millis(delay).after(self.now), self.order)));
        self.events.insert(self.order, event);
    }

    /// Runs the storm, then calms down: everything has to settle. Panics, with what happened, when it does not.
    pub fn run(mut self) -> Summary {
        self.drain();
        self.assert_explained();
        self.calm();
        self.summary()
    }

    fn drain(&mut self) {
        loop {
            self.set_tick();
            let Some(Reverse((at, place))) = self.queue.pop() else { return };
            self.now = self.now.max(at);
            let Some(event) = self.events.remove(&place) else { continue };
            self.handle(event);
            self.steps += 1;
            assert!(
                self.steps < MAX_STEPS,
                "no end after {MAX_STEPS} steps: {:?}",
                self.world.counts(&deployment_name())
            );
            if self.rng.u16(..1_000) < self.faults.kills {
                self.restart();
            }
        }
    }

    /// The next timer of the World is an event like any other.
    fn set_tick(&mut self) {
        let due = self.world.next_timer().map(|(at, _)| *at);
        let first = self.queue.peek().map(|Reverse((at, _))| *at);
        if let Some(due) = due
            && first.is_none_or(|it| due < it)
        {
            self.order += 1;
            self.queue.push(Reverse((due.max(self.now), self.order)));
            self.events.insert(self.order, Event::Tick);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::ToEngine { node, session, input } => {
                if self.is_session(&node, session) {
                    self.input(input);
                    self.maybe_drop(&node);
                }
            }
            Event::Dispatch { node, session, attempt } => self.on_dispatch(&node, session, *attempt),
            Event::Cancel { node, session, attempt } => {
                if self.is_session(&node, session) {
                    self.on_cancel(&node, attempt);
                }
            }
            Event::Release { node, session, attempt } => {
                if self.is_session(&node, session)
                    && let Some(agent) = self.agents.get_mut(&node)
                {
                    agent.journal.remove(&attempt);
                }
            }
            Event::Finish { node, attempt, report } => self.on_finish(&node, attempt, report),
            Event::Connect { node } => self.on_connect(&node),
            Event::Observe => self.on_observe(),
            Event::Whim => {
                for input in operator::whim(&mut self.rng, &self.world) {
                    self.input(input);
                }
            }
            Event::Lose => self.on_lose(),
            Event::Tick => self.input(Input::Tick),
        }
    }

    fn is_session(&self, node: &NodeName, session: u64) -> bool {
        self.agents.get(node).is_some_and(|it| it.here && it.session == session)
    }

    fn maybe_drop(&mut self, node: &NodeName) {
        if self.rng.u16(..1_000) < self.faults.drops {
            self.disconnect(node);
            let node = node.clone();
            self.later(10..40_000, Event::Connect { node });
        }
    }

    fn disconnect(&mut self, node: &NodeName) {
        if let Some(agent) = self.agents.get_mut(node)
            && agent.here
        {
            agent.here = false;
            self.input(Input::AgentLost { node: node.clone() });
        }
    }

    fn on_connect(&mut self, node: &NodeName) {
        let Some(agent) = self.agents.get_mut(node).filter(|it| !it.here && !it.dead) else { return };
        agent.here = true;
        agent.session += 1;
        let (held, results, session) = (agent.held(), agent.unacknowledged(), agent.session);
        self.input(Input::AgentConnected { node: node.clone(), held });
        for (attempt, report) in results {
            let input = Input::AttemptEnded { node: Some(node.clone()), attempt, report, phase: None };
            self.later(1..50, Event::ToEngine { node: node.clone(), session, input });
        }
    }

    fn on_dispatch(&mut self, node: &NodeName, session: u64, attempt: Attempt) {
        if !self.is_session(node, session) {
            return;
        }
        let Some(agent) = self.agents.get_mut(node) else { return };
        if !agent.dispatch(attempt.id, attempt.epoch, &attempt.node_role) {
            return;
        }
        let starts = self.attempts.entry(attempt.id).or_default();
        *starts += 1;
        assert_eq!(*starts, 1, "{} was started twice", attempt.id);
        let input = Input::AttemptAccepted { node: node.clone(), attempt: attempt.id };
        self.later(1..20, Event::ToEngine { node: node.clone(), session, input });
        let report = self.outcome(&attempt);
        let slow = self.rng.u8(..100) < self.faults.failures / 4;
        let takes = if slow { 100_000..200_000 } else { 5..5_000 };
        self.later(takes, Event::Finish { node: node.clone(), attempt: attempt.id, report });
    }

    fn outcome(&mut self, attempt: &Attempt) -> Report {
        if self.rng.u8(..100) < self.faults.failures {
            let kind = match self.rng.u8(..3) {
                0 => FailureKind::Error,
                1 => FailureKind::Tempfail,
                _ => FailureKind::Timeout,
            };
            let message = "simulated".to_owned();
            return Report::Failed(Failure { kind, phase: None, exit_code: None, message, retry_after: None });
        }
        // The output depends on some inputs only, so that some re-runs change nothing downstream.
        let mut outputs = BTreeMap::new();
        let seen = attempt.inputs.get(&parse::<Ident>("p")).map(|it| it.value.as_u64().unwrap_or(0) / 2);
        if attempt.phases.contains(&rebar_model::Phase::Apply) {
            outputs.insert(parse::<Ident>("out"), json!(seen.unwrap_or(0)));
        }
        Report::Succeeded { outputs, converged: false, note: None }
    }

    fn on_cancel(&mut self, node: &NodeName, attempt: AttemptId) {
        let Some(agent) = self.agents.get_mut(node) else { return };
        let ended = agent.finish(attempt, Report::Cancelled);
        let session = agent.session;
        if ended || agent.journal.contains_key(&attempt) {
            let input =
                Input::AttemptEnded { node: Some(node.clone()), attempt, report: Report::Cancelled, phase: None };
            self.later(1..50, Event::ToEngine { node: node.clone(), session, input });
        }
    }

    fn on_finish(&mut self, node: &NodeName, attempt: AttemptId, report: Report) {
        let Some(agent) = self.agents.get_mut(node).filter(|it| !it.dead) else { return };
        if agent.finish(attempt, report.clone()) && agent.here {
            let session = agent.session;
            let input = Input::AttemptEnded { node: Some(node.clone()), attempt, report, phase: None };
            self.later(1..50, Event::ToEngine { node: node.clone(), session, input });
        }
    }

    /// What the services say about every attempt that waits for them; some are late, some refuse.
    fn on_observe(&mut self) {
        let waiting: Vec<_> = self.world.attempts().values().filter(|it| it.node.is_none()).cloned().collect();
        for attempt in waiting {
            if self.rng.u8(..100) < self.faults.failures / 2 {
                self.later(1..90_000, Event::Observe);
                continue;
            }
            let refused = self.rng.u8(..100) < self.faults.failures;
            let report = if refused {
                let message = "simulated".to_owned();
                let kind = FailureKind::Error;
                Report::Failed(Failure { kind, phase: None, exit_code: None, message, retry_after: None })
            } else {
                let address = format!("10.0.0.{}", attempt.inputs.len());
                let outputs = BTreeMap::from([(parse::<Ident>("address"), json!(address))]);
                Report::Succeeded { outputs, converged: false, note: None }
            };
            self.input(Input::AttemptEnded { node: None, attempt: attempt.id, report, phase: None });
        }
    }

    fn on_lose(&mut self) {
        let there: Vec<_> = self.agents.iter().filter(|(_, it)| !it.dead).map(|(name, _)| name.clone()).collect();
        if there.len() <= 3 {
            return;
        }
        let Some(node) = self.rng.choice(there) else { return };
        self.disconnect(&node);
        if let Some(agent) = self.agents.get_mut(&node) {
            agent.dead = true;
        }
    }

    /// One input through the real scheduler: step, commit, and only then the effects.
    fn input(&mut self, input: Input) {
        let named = operator::named(&input).to_vec();
        let Ok(progress) = step(&mut self.world, input, self.now) else { return };
        self.named.extend(named);
        let mut seq = self.world.applied();
        for change in progress.changes {
            seq = seq.next();
            if let Change::AttemptPut { attempt } = &change
                && attempt.outcome.is_none()
                && attempt.accepted_at.is_none()
            {
                let early = invariants::started_too_early(&self.world, &attempt.node_role);
                assert_eq!(early, None);
                self.assert_named(attempt);
            }
            self.committed.push(Record { seq, at: self.now, by: Actor::engine(), change });
        }
        let newest = AttemptId(self.world.next_attempt().0 - 1);
        self.world.set_applied(seq, newest);
        let violations = invariants::violations(&self.world);
        assert!(violations.is_empty(), "{violations:?}");
        for effect in progress.effects {
            self.effect(effect);
        }
    }

    /// Nothing of a protected role is taken away before the operator named it.
    fn assert_named(&self, attempt: &Attempt) {
        let Some(node_role) = self.world.node_role(&attempt.node_role) else { return };
        let protected = self.world.role_of(&node_role.spec).is_some_and(|it| it.manifest.spec.protect);
        let named = attempt.kind == AttemptKind::Apply || self.named.contains(&attempt.node_role.role);
        assert!(named || !protected, "{} is taken away, and nobody named its role", attempt.node_role);
    }

    fn effect(&mut self, effect: Effect) {
        let (Effect::Dispatch { node, attempt } | Effect::Cancel { node, attempt } | Effect::Release { node, attempt }) =
            effect.clone()
        else {
            return self.later(1..2_000, Event::Observe);
        };
        let Some(agent) = self.agents.get(&node).filter(|it| it.here) else { return };
        let session = agent.session;
        match effect {
            Effect::Dispatch { .. } => {
                let Some(known) = self.world.attempts().get(&attempt) else { return };
                let mut known = Box::new(known.clone());
                known.epoch = self.world.epoch();
                if self.rng.u8(..100) < self.faults.doubles {
                    self.later(1..300, Event::Dispatch { node: node.clone(), session, attempt: known.clone() });
                }
                self.later(1..30, Event::Dispatch { node, session, attempt: known });
            }
            Effect::Cancel { .. } => self.later(1..30, Event::Cancel { node, session, attempt }),
            Effect::Release { .. } => self.later(1..30, Event::Release { node, session, attempt }),
            Effect::Reconcile => {}
        }
    }

    /// Kills the engine between two steps and starts it on what was committed.
    fn restart(&mut self) {
        let mut replayed = World::default();
        for record in &self.committed {
            let applied = replayed.apply_record(record);
            assert!(applied.is_ok(), "{applied:?}");
        }
        assert!(replayed == self.world, "replaying the history gives another World");
        self.world = replayed;
        let here: Vec<_> = self.agents.iter().filter(|(_, it)| it.here).map(|(name, _)| name.clone()).collect();
        for node in here {
            if let Some(agent) = self.agents.get_mut(&node) {
                agent.here = false;
            }
            self.later(1..3_000, Event::Connect { node });
        }
        self.start_engine();
    }

    fn start_engine(&mut self) {
        let epoch = Epoch(self.world.epoch().0 + 1);
        let change = Change::EpochBegan { epoch };
        let record = Record { seq: self.world.applied().next(), at: self.now, by: Actor::engine(), change };
        let applied = self.world.apply_record(&record);
        assert!(applied.is_ok(), "{applied:?}");
        self.committed.push(record);
        self.input(Input::TookOver);
    }

    /// Faults stop, lost nodes are given up, failures are retried: then everything that is wanted has to be active.
    fn calm(&mut self) {
        self.faults = Faults::NONE;
        let lost: Vec<_> = self.agents.iter().filter(|(_, it)| it.dead).map(|(name, _)| name.clone()).collect();
        for node in lost {
            self.input(operator::gone(&self.world, node));
        }
        for _ in 0..6 {
            let deployment = deployment_name();
            self.input(operator::command(Command::Resume { deployment: deployment.clone() }));
            self.input(operator::command(Command::Retry { deployment, ids: Vec::new() }));
            self.apply();
            self.drain();
        }
        for (id, it) in self.world.node_roles() {
            let settled = match it.status.intent {
                Intent::Present => it.status.state.is_fresh(),
                Intent::Absent | Intent::Forgotten => it.status.state == State::Removed,
            };
            let verdict = rebar_scheduler::verdict(&self.world, id, self.now);
            assert!(settled, "{id} did not settle: {:?} {verdict:?}", it.status);
        }
        let before = self.committed.len();
        self.apply();
        self.drain();
        let after = self.committed[before..].iter().filter(|it| matches!(it.change, Change::AttemptPut { .. })).count();
        assert_eq!(after, 0, "a second apply ran something");
    }

    /// Nothing stands still without a reason that a person can be told.
    fn assert_explained(&self) {
        for (id, it) in self.world.node_roles() {
            let done = it.status.state.is_fresh() || it.status.state == State::Removed;
            let verdict = rebar_scheduler::verdict(&self.world, id, self.now);
            let reasons = verdict.map_or(0, |it| it.reasons.len());
            assert!(done || reasons > 0, "{id} stands still and nobody knows why: {:?}", it.status);
        }
    }

    fn summary(&self) -> Summary {
        Summary {
            history: Digest::of_json(&self.committed),
            changes: self.committed.len(),
            attempts: self.attempts.len(),
            steps: self.steps,
        }
    }
}
