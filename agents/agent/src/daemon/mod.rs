//! The agent itself: one task that owns the link and the attempts, and moves what happens between the engine, the disk and the
//! supervisors. What follows from what is decided in `rebar-link`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::File,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rebar_link::{Input, Link, Local, Output, Recovered, RecoveredAttempt, RecoveredState, Refusal, Session};
use rebar_proto::v1::{AgentMessage, AttemptResult, Dispatch, FailureKind, engine_message};
use tokio::{
    net::UnixDatagram,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::{
    clock,
    daemon::{
        attempt::{Attempt, Stage},
        reboot::Reboot,
        start::{Begun, Starter},
    },
    disk::{
        journal::{self, Condition, Found},
        layout::{State, make_directory},
        spool,
    },
    door::{
        enrol::{self, Invitation},
        fetch::Fetcher,
        identity::Identity,
        session::{self, Opened},
    },
    error::Error,
    facts, knock,
    supervise::{environment, leftovers},
};

mod attempt;
mod reboot;
mod start;

/// How often attempts are looked at without a knock: supervisors that were killed do not knock.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the facts are compared with those that the engine has.
const FACTS_EVERY: Duration = Duration::from_mins(1);
/// Messages that wait for the session; no more log is read while there are so many.
const MAX_PENDING: usize = 64;
/// Events of tasks that the daemon has not taken yet.
const MAX_EVENTS: usize = 64;

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The state directory.
    pub state: PathBuf,
    /// An enrolment file, for a machine without an identity.
    pub enrol: PathBuf,
}

/// Runs until cancelled. Attempts go on after that.
pub async fn run(options: &Options, stop: CancellationToken) -> Result<(), Error> {
    let state = State::open(&options.state)?;
    let lock = state.lock()?;
    let ear = knock::listen(state.root())?;
    // What is on disk goes on before anybody asks whether the engine is there.
    let mut daemon = Daemon::recover(state.clone(), lock)?;
    let (events, mut sessions) = mpsc::channel(MAX_EVENTS);
    let door = tokio::spawn(open_door(state, options.enrol.clone(), events, stop.clone()));
    daemon.run(&ear, &mut sessions, &stop).await;
    door.abort();
    match door.await {
        Ok(result) => result,
        Err(_) => Ok(()),
    }
}

/// Becomes known if need be, then keeps a session open.
async fn open_door(
    state: State,
    file: PathBuf,
    events: mpsc::Sender<session::Event>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let mut backoff = rebar_link::Backoff::default();
    let identity = loop {
        if let Some(identity) = Identity::load(&state)? {
            break identity;
        }
        let Some(invitation) = Invitation::load(&file)? else {
            stop.cancel();
            return Err(Error::NotEnrolled { path: file });
        };
        match enrol::enrol(&state, &invitation).await {
            Ok(identity) => break identity,
            Err(error @ (Error::Refused(_) | Error::WrongCa { .. })) => {
                // Another try with the same token gives the same answer.
                stop.cancel();
                return Err(error);
            }
            Err(error) => tracing::warn!(%error, "not enrolled yet"),
        }
        tokio::time::sleep(backoff.next(rand::random())).await;
    };
    Invitation::discard(&file)?;
    session::run(state, identity, events, stop).await;
    Ok(())
}

/// The open session, as far as the daemon needs it.
#[derive(Debug)]
struct Line {
    opened: Opened,
    facts: String,
}

#[derive(Debug)]
struct Daemon {
    state: State,
    boot_id: String,
    link: Link,
    attempts: BTreeMap<u64, Attempt>,
    line: Option<Line>,
    pending: VecDeque<AgentMessage>,
    channel: watch::Sender<Option<Channel>>,
    starter: Starter,
    begun: mpsc::Receiver<Begun>,
    tasks: JoinSet<()>,
    reboot: Reboot,
    _lock: File,
}

impl Daemon {
    /// Goes on from what the disk holds.
    fn recover(state: State, lock: File) -> Result<Self, Error> {
        let boot_id = clock::boot_id();
        let found = journal::recover(&state, &boot_id)?;
        let mut recovered = Recovered {
            epoch: journal::read_epoch(&state)?,
            attempts: Vec::new(),
            forgotten: journal::read_forgotten(&state),
        };
        let (reports, begun) = mpsc::channel(MAX_EVENTS);
        let channel = watch::Sender::new(None);
        let fetcher = Arc::new(Fetcher::new(state.clone(), channel.subscribe()));
        let starter = Starter { state: state.clone(), boot_id: boot_id.clone(), fetcher, reports };
        let mut daemon = Self {
            state,
            boot_id,
            link: Link::default(),
            attempts: BTreeMap::new(),
            line: None,
            pending: VecDeque::new(),
            channel,
            starter,
            begun,
            tasks: JoinSet::new(),
            reboot: Reboot::default(),
            _lock: lock,
        };
        for one in found {
            recovered.attempts.push(daemon.adopt(one)?);
        }
        daemon.link = Link::recover(recovered);
        daemon.reboot_if_wanted();
        Ok(daemon)
    }

    /// Takes in an attempt that an agent before this one left.
    fn adopt(&mut self, found: Found) -> Result<RecoveredAttempt, Error> {
        let Found { dir, node_role, at_ms, condition } = found;
        let attempt = dir.attempt();
        let log_from = spool::start(&dir.log())?;
        let (stage, state) = match condition {
            Condition::Ended(result) => (Stage::Ended, RecoveredState::Finished(result)),
            Condition::Supervised => (Stage::Adopted, RecoveredState::Running { at_ms }),
            Condition::AwaitsReboot => (Stage::AwaitsReboot, RecoveredState::Running { at_ms }),
            Condition::Startable => {
                self.tasks.spawn(self.starter.clone().resume(dir.clone(), at_ms));
                (Stage::Supervised, RecoveredState::Running { at_ms })
            }
            Condition::Orphaned => {
                leftovers::end_marked(&environment::mark(&dir));
                let result = went_down(&dir);
                journal::write_result(&dir, &result)?;
                dir.remove_inputs()?;
                (Stage::Ended, RecoveredState::Finished(result))
            }
        };
        tracing::info!(attempt, ?stage, "attempt found");
        self.attempts.insert(attempt, Attempt::new(dir, stage));
        Ok(RecoveredAttempt { attempt, node_role, log_from, state })
    }

    async fn run(
        &mut self,
        ear: &UnixDatagram,
        sessions: &mut mpsc::Receiver<session::Event>,
        stop: &CancellationToken,
    ) {
        let mut look = ticks(LOOK_EVERY);
        let mut compare = ticks(FACTS_EVERY);
        let mut datagram = [0; 16];
        loop {
            let outbound = self.line.as_ref().map(|line| line.opened.outbound.clone());
            let has_pending = !self.pending.is_empty();
            tokio::select! {
                () = stop.cancelled() => return,
                event = sessions.recv() => match event {
                    Some(event) => self.on_session(event),
                    // The door says why when it is joined.
                    None => return,
                },
                Some(begun) = self.begun.recv() => self.on_begun(begun),
                Ok(length) = ear.recv(&mut datagram) => {
                    let mut knocked: BTreeSet<u64> = knock::attempt(&datagram[..length]).into_iter().collect();
                    while let Ok(length) = ear.try_recv(&mut datagram) {
                        knocked.extend(knock::attempt(&datagram[..length]));
                    }
                    for attempt in knocked {
                        self.look(attempt);
                    }
                }
                permit = reserve(outbound), if has_pending => match permit {
                    Some(permit) => {
                        if let Some(message) = self.pending.pop_front() {
                            permit.send(message);
                        }
                        self.pump();
                    }
                    // The session is over; its end will be said.
                    None => self.pending.clear(),
                },
                Some(_) = self.tasks.join_next() => {}
                _ = look.tick(), if self.attempts.values().any(|attempt| attempt.stage.is_live()) => self.look_at_all(),
                _ = compare.tick(), if self.line.is_some() => self.compare_facts(),
            }
        }
    }

    fn on_session(&mut self, event: session::Event) {
        match event {
            session::Event::Opened(opened) => {
                let facts_json = facts::collect(&self.boot_id, Some(opened.local.ip()));
                let _ = self.channel.send(Some(opened.channel.clone()));
                self.pending.clear();
                self.line = Some(Line { opened, facts: facts_json.clone() });
                let agent_version = env!("CARGO_PKG_VERSION").to_owned();
                let session = Session { agent_version, boot_id: self.boot_id.clone(), facts_json };
                self.handle(Input::Connected(session));
            }
            session::Event::Message(message) => {
                let is_welcome = matches!(message.body, Some(engine_message::Body::Welcome(_)));
                self.handle(Input::Engine(message));
                if is_welcome
                    && self.link.is_welcomed()
                    && let Some(line) = &self.line
                {
                    line.opened.welcomed.store(true, Ordering::Relaxed);
                    tracing::info!(epoch = self.link.epoch(), "welcomed");
                }
            }
            session::Event::Closed => self.hang_up(),
        }
    }

    fn hang_up(&mut self) {
        if let Some(line) = self.line.take() {
            line.opened.hang_up.cancel();
        }
        let _ = self.channel.send(None);
        self.pending.clear();
        self.attempts.values_mut().for_each(|attempt| attempt.reader = None);
        self.handle(Input::Disconnected);
    }

    /// Lets the link decide, and does what it says.
    fn handle(&mut self, input: Input) {
        for output in self.link.handle(input) {
            self.carry_out(output);
        }
        self.pump();
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send(message) => {
                if self.line.is_some() {
                    self.pending.push_back(message);
                }
            }
            Output::Start(dispatch) => self.start(*dispatch),
            Output::Keep(result) => self.keep(*result),
            Output::Kill { attempt } => self.kill(attempt),
            Output::ReadLog { attempt, from } => match self.attempts.get_mut(&attempt) {
                Some(held) => held.read_from(from),
                // It never had a log.
                None => self.handle(Input::Local(Local::LogDrained { attempt })),
            },
            Output::TrimLog { attempt, before } => {
                if let Some(held) = self.attempts.get(&attempt)
                    && let Err(error) = spool::trim(&held.dir.log(), before)
                {
                    tracing::warn!(attempt, %error, "log not trimmed");
                }
            }
            Output::Forget { attempt } => self.forget(attempt),
            Output::RememberEpoch(epoch) => {
                if let Err(error) = journal::write_epoch(&self.state, epoch) {
                    tracing::error!(epoch, %error, "epoch not remembered");
                }
            }
            Output::Disconnect(refusal) => {
                tracing::warn!(%refusal, "session refused");
                if let Some(line) = &self.line {
                    line.opened.hang_up.cancel();
                }
            }
            Output::Refused(Refusal::LowerEpoch { offered, highest }) => {
                tracing::warn!(offered, highest, "order of a replaced engine refused");
            }
            Output::Refused(refusal) => tracing::debug!(%refusal, "not obeyed"),
        }
    }

    /// Keeps the result of an attempt that was never run.
    fn keep(&mut self, result: AttemptResult) {
        let attempt = result.attempt;
        let dir = self.state.attempt(attempt);
        let kept = make_directory(dir.root(), 0o700).and_then(|()| journal::write_result(&dir, &result));
        if let Err(error) = kept {
            tracing::error!(attempt, %error, "result only in memory");
        }
        self.attempts.insert(attempt, Attempt::new(dir, Stage::Ended));
    }

    fn start(&mut self, dispatch: Dispatch) {
        if self.reboot.is_wanted() {
            self.reboot.defer(dispatch);
            return;
        }
        let attempt = dispatch.attempt;
        tracing::info!(attempt, node_role = dispatch.node_role, "attempt starts");
        let cancelled = CancellationToken::new();
        let held = Attempt::new(self.state.attempt(attempt), Stage::Preparing(cancelled.clone()));
        self.attempts.insert(attempt, held);
        self.tasks.spawn(self.starter.clone().start(dispatch, cancelled));
    }

    fn on_begun(&mut self, begun: Begun) {
        let attempt = begun.attempt();
        let Some(held) = self.attempts.get_mut(&attempt) else { return };
        match begun {
            Begun::Started { at_ms, .. } => {
                let is_unwanted = matches!(&held.stage, Stage::Preparing(cancelled) if cancelled.is_cancelled());
                held.stage = Stage::Supervised;
                self.handle(Input::Local(Local::Started { attempt, at_ms }));
                if is_unwanted {
                    self.kill(attempt);
                }
                self.look(attempt);
            }
            Begun::SupervisorEnded { .. } => {
                if matches!(held.stage, Stage::Supervised) {
                    held.stage = Stage::Adopted;
                }
                self.look(attempt);
                self.look_for_the_lost(attempt);
            }
            Begun::Failed { result, .. } => self.end(attempt, result),
        }
    }

    /// An attempt has ended. Its log is said before its end.
    fn end(&mut self, attempt: u64, result: AttemptResult) {
        let Some(held) = self.attempts.get_mut(&attempt) else { return };
        held.stage = Stage::Ended;
        tracing::info!(attempt, outcome = outcome(&result), "attempt ended");
        self.reboot.drop(attempt);
        self.handle(Input::Local(Local::Finished(result)));
        self.reboot_if_wanted();
    }

    /// Ends an attempt from here, because nobody else can.
    fn end_here(&mut self, attempt: u64, result: AttemptResult) {
        if let Some(held) = self.attempts.get(&attempt) {
            let kept = journal::write_result(&held.dir, &result).and_then(|()| held.dir.remove_inputs());
            if let Err(error) = kept {
                tracing::error!(attempt, %error, "result only in memory");
            }
        }
        self.end(attempt, result);
    }

    fn kill(&mut self, attempt: u64) {
        let Some(held) = self.attempts.get_mut(&attempt) else {
            // It waits for the end of a reboot, and is not in the journal.
            if let Some(dispatch) = self.reboot.take_deferred(attempt) {
                let dir = self.state.attempt(dispatch.attempt);
                let result = journal::failure(&dir, FailureKind::Cancelled, "cancelled before it started".to_owned());
                self.handle(Input::Local(Local::Finished(result)));
            }
            return;
        };
        match &held.stage {
            Stage::Preparing(cancelled) => cancelled.cancel(),
            Stage::Supervised | Stage::Adopted => held.kill(),
            Stage::AwaitsReboot => {
                let result =
                    journal::failure(&held.dir, FailureKind::Cancelled, "cancelled before a reboot".to_owned());
                self.end_here(attempt, result);
            }
            Stage::Ended => {}
        }
    }

    fn forget(&mut self, attempt: u64) {
        let removed = match self.attempts.remove(&attempt) {
            Some(held) => held.dir.remove(),
            None => Ok(()),
        };
        if let Err(error) = removed.and_then(|()| journal::write_forgotten(&self.state, self.link.forgotten())) {
            tracing::warn!(attempt, %error, "attempt not removed");
        }
    }

    fn look_at_all(&mut self) {
        let live: Vec<u64> =
            self.attempts.iter().filter(|(_, held)| held.stage.is_live()).map(|(attempt, _)| *attempt).collect();
        for attempt in live {
            if let Some(held) = self.attempts.get_mut(&attempt) {
                held.press_kill();
            }
            self.look(attempt);
            self.look_for_the_lost(attempt);
        }
        self.reboot_if_wanted();
    }

    /// What is new about an attempt.
    fn look(&mut self, attempt: u64) {
        let Some(held) = self.attempts.get_mut(&attempt) else { return };
        if let Some(progress) = held.new_progress() {
            self.handle(Input::Local(Local::Progress(progress)));
        }
        self.pump();
        let Some(held) = self.attempts.get(&attempt) else { return };
        if !matches!(held.stage, Stage::Supervised | Stage::Adopted) {
            return;
        }
        match journal::read_result(&held.dir) {
            Ok(Some(result)) => self.end(attempt, result),
            Ok(None) => {}
            Err(error) => tracing::error!(attempt, %error, "result unreadable"),
        }
    }

    /// Finds out what became of an attempt whose supervisor may be gone without a word.
    fn look_for_the_lost(&mut self, attempt: u64) {
        let Some(held) = self.attempts.get_mut(&attempt) else { return };
        if !matches!(held.stage, Stage::Adopted) {
            return;
        }
        match journal::look_again(&held.dir, &self.boot_id) {
            Condition::Supervised => {}
            Condition::Ended(result) => self.end(attempt, result),
            Condition::AwaitsReboot => {
                held.stage = Stage::AwaitsReboot;
                self.reboot_if_wanted();
            }
            Condition::Startable | Condition::Orphaned => {
                leftovers::end_marked(&environment::mark(&held.dir));
                let result = if held.is_killed() {
                    journal::failure(&held.dir, FailureKind::Cancelled, "cancelled".to_owned())
                } else {
                    went_down(&held.dir)
                };
                self.end_here(attempt, result);
            }
        }
    }

    /// Reads logs for as long as the session takes them.
    fn pump(&mut self) {
        let attempts: Vec<u64> =
            self.attempts.iter().filter(|(_, held)| held.reader.is_some()).map(|(attempt, _)| *attempt).collect();
        for attempt in attempts {
            while self.pending.len() < MAX_PENDING {
                let Some(said) = self.attempts.get_mut(&attempt).and_then(Attempt::next_log) else { break };
                for output in self.link.handle(Input::Local(said)) {
                    self.carry_out(output);
                }
            }
        }
    }

    fn compare_facts(&mut self) {
        let Some(line) = &mut self.line else { return };
        let now = facts::collect(&self.boot_id, Some(line.opened.local.ip()));
        if now != line.facts {
            line.facts.clone_from(&now);
            self.handle(Input::Local(Local::Facts(now)));
        }
    }
}

fn went_down(dir: &crate::disk::layout::AttemptDir) -> AttemptResult {
    let phase = journal::current_phase(dir).map_or("unknown", environment::phase_name);
    let message = format!("the machine or supervisor went down while phase {phase} ran");
    journal::failure(dir, FailureKind::Error, message)
}

fn outcome(result: &AttemptResult) -> &'static str {
    match &result.outcome {
        Some(rebar_proto::v1::attempt_result::Outcome::Succeeded(_)) => "succeeded",
        Some(rebar_proto::v1::attempt_result::Outcome::Failed(failed)) => failed.kind().as_str_name(),
        None => "unknown",
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn reserve(outbound: Option<mpsc::Sender<AgentMessage>>) -> Option<mpsc::OwnedPermit<AgentMessage>> {
    outbound?.reserve_owned().await.ok()
}
