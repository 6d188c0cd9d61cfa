//! The agent's process: the real link between a simulated disk and a simulated network. What survives it is in `machine`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use rebar_link::{Backoff, Input, Link, Local, Output, Session};
use rebar_proto::v1::{AgentMessage, AttemptResult, Dispatch, EngineMessage, FailureKind, LogChunk, engine_message};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    engines::Engines,
    machine::{Machine, Stage, failed},
    network::{Line, Network},
};

/// An engine that says nothing for this long is gone; as in the real agent.
const SILENCE: Duration = Duration::from_secs(12);
/// Messages that wait for the session, as in the real agent.
const MAX_PENDING: usize = 64;

/// The agent's process. Dropping it is `SIGKILL`.
pub(crate) struct Agent {
    machine: Machine,
    network: Network,
    engines: Arc<Engines>,
    link: Link,
    line: Option<Line>,
    heard_at: Instant,
    pending: VecDeque<AgentMessage>,
    /// Where the log of an attempt is read.
    readers: BTreeMap<u64, u64>,
    /// Attempts whose end the link knows.
    told: BTreeSet<u64>,
    /// Attempts that are being prepared; cancelled ones are not begun.
    preparing: BTreeMap<u64, CancellationToken>,
    begun: (mpsc::UnboundedSender<Begun>, mpsc::UnboundedReceiver<Begun>),
    tasks: JoinSet<()>,
    backoff: Backoff,
    welcomed_at: Option<Instant>,
    turn: usize,
}

/// What became of an order to start.
enum Begun {
    Started { attempt: u64, at_ms: i64 },
    Failed(AttemptResult),
}

/// What an agent waits for.
enum Event {
    Heard(EngineMessage),
    Closed,
    Sent,
    Begun(Begun),
    Knocked,
}

impl Agent {
    /// Starts on what the disk holds.
    pub(crate) fn new(machine: Machine, network: Network, engines: Arc<Engines>) -> Self {
        let recovered = machine.recover();
        let link = Link::recover(recovered);
        Self {
            machine,
            network,
            engines,
            link,
            line: None,
            heard_at: Instant::now(),
            pending: VecDeque::new(),
            readers: BTreeMap::new(),
            told: BTreeSet::new(),
            preparing: BTreeMap::new(),
            begun: mpsc::unbounded_channel(),
            tasks: JoinSet::new(),
            backoff: Backoff::default(),
            welcomed_at: None,
            turn: 0,
        }
    }

    /// Runs until dropped.
    pub(crate) async fn run(mut self) {
        loop {
            if self.line.is_none() {
                self.dial().await;
                continue;
            }
            let event = self.next().await;
            self.on(event);
            self.look();
            self.pump();
        }
    }

    /// One try to reach an engine, then a wait in which work goes on.
    async fn dial(&mut self) {
        let far = self.engines.door(self.turn);
        self.turn += 1;
        if let Some(line) = self.network.connect(&self.machine.name, far).await {
            self.line = Some(line);
            self.heard_at = Instant::now();
            self.pending.clear();
            let session = Session {
                agent_version: "simulated".to_owned(),
                boot_id: self.machine.boot_id(),
                facts_json: "{}".to_owned(),
                upgrade_failed: None,
            };
            self.handle(Input::Connected(session));
            return;
        }
        if !self.turn.is_multiple_of(self.engines.count()) {
            return;
        }
        let wait = self.backoff.next(self.machine.chance.draw(fastrand::Rng::f64));
        let _ = timeout(wait, async {
            loop {
                let event = self.next().await;
                self.on(event);
                self.look();
            }
        })
        .await;
    }

    async fn next(&mut self) -> Event {
        let says = self.line.as_ref().map(|it| it.says.clone());
        let waiting = !self.pending.is_empty();
        let silent_at = self.heard_at + SILENCE;
        let hears = async {
            match &mut self.line {
                Some(line) => tokio::select! {
                    biased;
                    () = line.cut.cancelled() => None,
                    message = line.hears.recv() => message,
                    () = sleep_until(silent_at) => None,
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            message = hears => message.map_or(Event::Closed, Event::Heard),
            begun = self.begun.1.recv() => begun.map_or(Event::Knocked, Event::Begun),
            permit = reserve(says), if waiting => {
                if let (Some(permit), Some(message)) = (permit, self.pending.pop_front()) {
                    permit.send(message);
                }
                Event::Sent
            }
            () = self.machine.knock.notified() => Event::Knocked,
        }
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Heard(message) => {
                self.heard_at = Instant::now();
                let welcome = matches!(message.body, Some(engine_message::Body::Welcome(_)));
                self.handle(Input::Engine(message));
                if welcome && self.link.is_welcomed() {
                    self.welcomed_at = Some(Instant::now());
                }
            }
            Event::Closed => self.hang_up(),
            Event::Begun(Begun::Started { attempt, at_ms }) => {
                let unwanted = self.preparing.remove(&attempt).is_some_and(|it| it.is_cancelled());
                self.handle(Input::Local(Local::Started { attempt, at_ms }));
                if unwanted {
                    self.machine.kill(attempt);
                }
            }
            Event::Begun(Begun::Failed(result)) => {
                self.preparing.remove(&result.attempt);
                self.told.insert(result.attempt);
                self.handle(Input::Local(Local::Finished(result)));
            }
            Event::Sent | Event::Knocked => {}
        }
    }

    fn hang_up(&mut self) {
        if let Some(line) = self.line.take() {
            line.cut.cancel();
        }
        if let Some(since) = self.welcomed_at.take() {
            self.backoff.after_session(since.elapsed());
        }
        self.pending.clear();
        self.readers.clear();
        self.handle(Input::Disconnected);
    }

    fn handle(&mut self, input: Input) {
        for output in self.link.handle(input) {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send(message) => {
                if self.line.is_some() {
                    self.pending.push_back(message);
                }
            }
            Output::Start(dispatch) => self.start(*dispatch),
            Output::Keep(result) => {
                self.told.insert(result.attempt);
                self.machine.keep(*result);
            }
            Output::Kill { attempt } => match self.preparing.get(&attempt) {
                Some(cancelled) => cancelled.cancel(),
                None => self.machine.kill(attempt),
            },
            Output::ReadLog { attempt, from } => {
                if self.machine.held().contains(&attempt) {
                    self.readers.insert(attempt, from);
                } else {
                    self.handle(Input::Local(Local::LogDrained { attempt }));
                }
            }
            Output::TrimLog { attempt, before } => self.trim(attempt, before),
            Output::Forget { attempt } => {
                self.told.remove(&attempt);
                self.readers.remove(&attempt);
                self.machine.forget(attempt, self.link.forgotten().collect());
            }
            Output::RememberEpoch(epoch) => {
                let mut disk = self.machine.disk();
                assert!(epoch > disk.epoch, "an engine with epoch {epoch} is obeyed after one with {}", disk.epoch);
                disk.epoch = epoch;
            }
            Output::Disconnect(_) => self.hang_up(),
            // Nobody here tells agents to be others.
            Output::Refused(_) | Output::Upgrade(_) => {}
        }
    }

    /// Prepares an attempt and begins it: content first, then the journal, then the supervisor.
    fn start(&mut self, dispatch: Dispatch) {
        let cancelled = CancellationToken::new();
        self.preparing.insert(dispatch.attempt, cancelled.clone());
        let (machine, begun) = (self.machine.clone(), self.begun.0.clone());
        self.tasks.spawn(async move {
            let attempt = dispatch.attempt;
            machine.chance.pause(0..150).await;
            let bad = machine.chance.hits(machine.chance.faults().disk, 1_000);
            if cancelled.is_cancelled() || bad {
                let kind = if bad { FailureKind::Setup } else { FailureKind::Cancelled };
                let result = failed(attempt, kind, "simulated: not begun");
                machine.keep(result.clone());
                let _ = begun.send(Begun::Failed(result));
                return;
            }
            let at_ms = i64::try_from(attempt).unwrap_or(0);
            machine.journal(dispatch, at_ms);
            machine.chance.pause(0..30).await;
            machine.begin(attempt);
            let _ = begun.send(Begun::Started { attempt, at_ms });
        });
    }

    fn trim(&self, attempt: u64, before: u64) {
        let mut disk = self.machine.disk();
        let Some(entry) = disk.attempts.get_mut(&attempt) else { return };
        entry.log = entry.log.split_off(&before);
    }

    /// Sees which attempts have ended.
    fn look(&mut self) {
        let ended: Vec<AttemptResult> = {
            let disk = self.machine.disk();
            let of = |it: &Stage| if let Stage::Ended(result) = it { Some(result.clone()) } else { None };
            let new = disk.attempts.iter().filter(|(id, _)| !self.told.contains(id));
            new.filter_map(|(_, entry)| of(&entry.stage)).collect()
        };
        for result in ended {
            // Its start is said first.
            if !self.preparing.contains_key(&result.attempt) {
                self.told.insert(result.attempt);
                self.handle(Input::Local(Local::Finished(result)));
            }
        }
    }

    /// Reads logs for as long as the session takes them.
    fn pump(&mut self) {
        let readers: Vec<u64> = self.readers.keys().copied().collect();
        for attempt in readers {
            while self.pending.len() < MAX_PENDING {
                let Some(said) = self.next_log(attempt) else { break };
                self.handle(Input::Local(said));
            }
        }
    }

    fn next_log(&mut self, attempt: u64) -> Option<Local> {
        let offset = *self.readers.get(&attempt)?;
        let disk = self.machine.disk();
        let Some(entry) = disk.attempts.get(&attempt) else {
            drop(disk);
            self.readers.remove(&attempt);
            return Some(Local::LogDrained { attempt });
        };
        if offset >= entry.log_end {
            let ended = matches!(entry.stage, Stage::Ended(_));
            drop(disk);
            return ended.then(|| {
                self.readers.remove(&attempt);
                Local::LogDrained { attempt }
            });
        }
        // A piece that was said once is said again with the same bounds: it is a record of the spool.
        let data = entry.log.get(&offset).cloned().unwrap_or_default();
        drop(disk);
        self.readers.insert(attempt, offset + data.len() as u64);
        Some(Local::Log(LogChunk { attempt, offset, phase: 0, at: None, data, lost: 0 }))
    }
}

async fn reserve(says: Option<mpsc::Sender<AgentMessage>>) -> Option<mpsc::OwnedPermit<AgentMessage>> {
    says?.reserve_owned().await.ok()
}
