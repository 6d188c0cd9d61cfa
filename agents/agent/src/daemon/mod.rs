//! The agent itself: one task that owns the link and the attempts, and moves what happens between the engine, the disk and the
//! supervisors. What follows from what is decided in `rebar-link`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::File,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use rebar_link::{Input, Link, Local, Recovered, RecoveredAttempt, RecoveredState, Session, Window};
use rebar_proto::v1::{AgentMessage, UpgradeFailed, engine_message};
use rustix::process::{Pid, WaitOptions, waitpid};
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
        look::{keep_result, went_down},
        reboot::Reboot,
        start::{Begun, Starter},
        upgrade::Staging,
    },
    disk::{
        journal::{self, Condition, Found},
        layout::{AttemptDir, State},
        spool, status,
    },
    door::{
        enrol::{self, Invitation},
        fetch::Fetcher,
        identity::Identity,
        session::{self, Opened},
    },
    error::Error,
    facts, helper, knock,
    release::{
        self,
        life::Candidate,
        record::Record,
        stage::{Staged, Stager},
    },
    supervise::{environment, leftovers},
};

mod attempt;
mod crew;
mod look;
mod orders;
mod reboot;
mod start;
#[cfg(test)]
mod tests;
mod upgrade;

/// How often attempts are looked at without a knock: supervisors that were killed do not knock.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the facts are compared with those that the engine has.
const FACTS_EVERY: Duration = Duration::from_mins(1);
/// How often a state that is in use is tried again, and the pause in between.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// An agent that has said nothing for this long says that it is there. Pings are answered sooner, but on a line that is full of
/// something else they come late.
const QUIET_AFTER: Duration = Duration::from_secs(5);
/// Events of tasks that the daemon has not taken yet.
const MAX_EVENTS: usize = 64;

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The state directory.
    pub state: PathBuf,
    /// An enrolment file, for a machine without an identity.
    pub enrol: PathBuf,
    /// What the logs of all attempts may take on disk together, in bytes.
    pub spools: u64,
}

/// Why an agent ended that nothing is wrong with.
#[derive(Debug)]
pub enum Ended {
    /// Somebody asked it to.
    Stopped,
    /// Another release is to be tried in its place.
    ForTrial(Box<Candidate>),
}

/// Runs until cancelled, or until another release is to be tried. Attempts go on after that.
pub async fn run(options: &Options, stop: CancellationToken) -> Result<Ended, Error> {
    let state = State::open(&options.state)?;
    let lock = lock(&state).await?;
    helper::place(&state)?;
    let ear = knock::listen(state.root())?;
    // What is on disk goes on before anybody asks whether the engine is there.
    let mut daemon = Daemon::recover(state.clone(), options.spools, lock)?;
    let (events, mut sessions) = mpsc::channel(MAX_EVENTS);
    let door = tokio::spawn(open_door(state, options.enrol.clone(), events, stop.clone()));
    daemon.run(&ear, &mut sessions, &stop).await;
    door.abort();
    if let Ok(result) = door.await {
        result?;
    }
    Ok(daemon.candidate.take().map_or(Ended::Stopped, Ended::ForTrial))
}

/// Keeps a second agent out. One that was killed a moment ago, or is being tried by one that was, may not have gone yet.
async fn lock(state: &State) -> Result<File, Error> {
    for _ in 0..LOCK_TRIES {
        match state.lock() {
            Err(Error::InUse { .. }) => tokio::time::sleep(LOCK_PAUSE).await,
            locked => return locked,
        }
    }
    state.lock()
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
            Err(error) => {
                tracing::warn!(%error, "not enrolled yet");
                if let Error::Busy { after, .. } = error {
                    backoff.told(after);
                }
            }
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
    /// What of all logs is on its way.
    window: Window,
    /// The attempt whose log was read last: the others are next.
    turn: u64,
    /// From when the times of the window count.
    started: Instant,
    said_at: Instant,
    channel: watch::Sender<Option<Channel>>,
    starter: Starter,
    begun: mpsc::Receiver<Begun>,
    tasks: JoinSet<()>,
    reboot: Reboot,
    stager: Stager,
    staged: mpsc::Receiver<Staged>,
    staging: Option<Staging>,
    /// The release that is to be tried now.
    candidate: Option<Box<Candidate>>,
    /// Supervisors that this process may have started when it was another release: somebody has to take note of their end.
    children: Vec<Pid>,
    _lock: File,
}

impl Daemon {
    /// Goes on from what the disk holds.
    fn recover(state: State, spools: u64, lock: File) -> Result<Self, Error> {
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
        let (ready, staged) = mpsc::channel(MAX_EVENTS);
        let stager = Stager { state: state.clone(), fetcher: fetcher.clone(), staged: ready };
        let (crew, boot) = (Arc::default(), boot_id.clone());
        let starter = Starter { state: state.clone(), boot_id: boot, spools, fetcher, crew, reports };
        let mut daemon = Self {
            state,
            boot_id,
            link: Link::default(),
            attempts: BTreeMap::new(),
            line: None,
            pending: VecDeque::new(),
            window: Window::default(),
            turn: 0,
            started: Instant::now(),
            said_at: Instant::now(),
            channel,
            starter,
            begun,
            tasks: JoinSet::new(),
            reboot: Reboot::default(),
            stager,
            staged,
            staging: None,
            candidate: None,
            children: Vec::new(),
            _lock: lock,
        };
        for one in found {
            recovered.attempts.push(daemon.adopt(one));
        }
        daemon.link = Link::recover(recovered);
        daemon.reboot_if_wanted();
        Ok(daemon)
    }

    /// Takes in an attempt that an agent before this one left.
    fn adopt(&mut self, found: Found) -> RecoveredAttempt {
        let Found { dir, node_role, at_ms, condition } = found;
        let attempt = dir.attempt();
        let log_from = spool::start(&dir.log()).unwrap_or(0);
        let (stage, state) = match condition {
            Condition::Ended(result) => (Stage::Ended, RecoveredState::Finished(result)),
            Condition::Supervised => {
                self.children.extend(supervisor(&dir));
                (Stage::Adopted, RecoveredState::Running { at_ms })
            }
            Condition::AwaitsReboot => (Stage::AwaitsReboot, RecoveredState::Running { at_ms }),
            Condition::Startable => {
                self.tasks.spawn(self.starter.clone().resume(dir.clone(), at_ms));
                (Stage::Supervised, RecoveredState::Running { at_ms })
            }
            Condition::Orphaned => {
                leftovers::end_marked(&environment::mark(&dir));
                let result = went_down(&dir);
                keep_result(&dir, &result);
                (Stage::Ended, RecoveredState::Finished(result))
            }
        };
        tracing::info!(attempt, ?stage, "attempt found");
        self.attempts.insert(attempt, Attempt::new(dir, stage));
        RecoveredAttempt { attempt, node_role, log_from, state }
    }

    async fn run(
        &mut self,
        ear: &UnixDatagram,
        sessions: &mut mpsc::Receiver<session::Event>,
        stop: &CancellationToken,
    ) {
        let mut look = ticks(LOOK_EVERY);
        let mut compare = ticks(FACTS_EVERY);
        let mut quiet = ticks(LOOK_EVERY);
        let mut idle = ticks(LOOK_EVERY);
        let mut datagram = [0; 16];
        while self.candidate.is_none() {
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
                Some(staged) = self.staged.recv() => self.on_staged(staged),
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
                            self.said_at = Instant::now();
                        }
                        self.pump();
                    }
                    // The session is over; its end will be said.
                    None => self.pending.clear(),
                },
                Some(_) = self.tasks.join_next() => {}
                _ = look.tick(), if self.attempts.values().any(|attempt| attempt.stage.is_live()) => self.look_at_all(),
                _ = compare.tick(), if self.line.is_some() => self.compare_facts(),
                _ = idle.tick(), if !self.starter.crew.is_empty() => self.starter.crew.dismiss(),
                _ = quiet.tick(), if self.line.is_some() => self.look_at_line(),
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
                let agent_version = release::version().to_owned();
                let upgrade_failed = self.last_upgrade_failed();
                let session = Session { agent_version, boot_id: self.boot_id.clone(), facts_json, upgrade_failed };
                self.handle(Input::Connected(session));
            }
            session::Event::Message(message) => {
                if let Some(engine_message::Body::LogAck(ack)) = &message.body {
                    self.window.acknowledged(ack.attempt, ack.offset, self.started.elapsed());
                }
                let is_welcome = matches!(message.body, Some(engine_message::Body::Welcome(_)));
                self.handle(Input::Engine(message));
                if is_welcome
                    && self.link.is_welcomed()
                    && let Some(line) = &self.line
                {
                    line.opened.welcomed.store(true, Ordering::Relaxed);
                    tracing::info!(epoch = self.link.epoch(), "welcomed");
                    if release::is_on_trial()
                        && let Err(error) = helper::print(release::WELCOMED)
                    {
                        tracing::error!(%error, "nobody tries this release");
                    }
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
        self.window.clear();
        self.attempts.values_mut().for_each(|attempt| attempt.reader = None);
        self.handle(Input::Disconnected);
    }

    /// What the engine is told about the last upgrade.
    fn last_upgrade_failed(&self) -> Option<UpgradeFailed> {
        Record::load(&self.state).ok()??.report()
    }

    /// Takes note of the end of supervisors that tokio does not know.
    fn reap(&mut self) {
        self.children.retain(|pid| matches!(waitpid(Some(*pid), WaitOptions::NOHANG), Ok(None)));
    }

    /// What is due because of nothing but time: a sign of life, and results whose logs take long.
    fn look_at_line(&mut self) {
        if self.pending.is_empty() && self.said_at.elapsed() >= QUIET_AFTER {
            self.handle(Input::Local(Local::Quiet));
        }
        let late: Vec<u64> =
            self.attempts.iter_mut().filter_map(|(attempt, held)| held.is_late().then_some(*attempt)).collect();
        for attempt in late {
            self.handle(Input::Local(Local::LogTakesLong { attempt }));
        }
        // What was too much a second ago may be said now.
        self.pump();
    }

    fn compare_facts(&mut self) {
        self.reap();
        let Some(line) = &mut self.line else { return };
        let now = facts::collect(&self.boot_id, Some(line.opened.local.ip()));
        if now != line.facts {
            line.facts.clone_from(&now);
            self.handle(Input::Local(Local::Facts(now)));
        }
    }
}

/// The process that runs an attempt.
fn supervisor(dir: &AttemptDir) -> Option<Pid> {
    let status = status::read(dir).ok()??;
    Pid::from_raw(i32::try_from(status.pid).ok()?)
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn reserve(outbound: Option<mpsc::Sender<AgentMessage>>) -> Option<mpsc::OwnedPermit<AgentMessage>> {
    outbound?.reserve_owned().await.ok()
}
