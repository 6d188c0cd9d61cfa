//! The one task that owns the World: takes what is in the inbox, steps the scheduler, commits all of it at once, publishes, answers,
//! and lets the effects out. It never waits for a timer while something is waiting for it.

use std::sync::Arc;

use jiff::Timestamp;
use rebar_model::{Actor, AttemptId, Epoch, NodeName, Record, World};
use rebar_ports::{AgentHello, AgentSession, SessionId, StoreError};
use rebar_scheduler::{Command, Effect, Input, Refusal, step};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    EngineError, MAX_BATCH,
    limits::{MAX_AHEAD, MAX_DELAY, RETRY_PAUSE},
    shared::SharedRef,
};

/// What comes into the inbox.
pub(crate) enum Message {
    /// Something happened.
    Input {
        /// What.
        input: Input,
        /// Who caused it.
        by: Actor,
        /// Who waits for it to be durable.
        reply: Option<oneshot::Sender<Result<(), EngineError>>>,
    },
    /// An agent came.
    Connected {
        /// Of which node.
        node: NodeName,
        /// What it said.
        hello: AgentHello,
        /// The way back to it.
        session: Arc<dyn AgentSession>,
        /// Who waits.
        reply: oneshot::Sender<Result<(SessionId, Epoch), EngineError>>,
    },
    /// An agent went.
    Disconnected {
        /// Of which node.
        node: NodeName,
        /// Which session.
        session: SessionId,
    },
}

type Answer = Box<dyn FnOnce(Result<(), EngineError>) + Send>;

/// What one commit takes.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    effects: Vec<Effect>,
    answers: Vec<Answer>,
    /// When it goes to the store at the latest; none while it is empty.
    due: Option<Timestamp>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.effects.is_empty() && self.answers.is_empty()
    }

    /// There is something in it that goes to the store now, or at this moment at the latest.
    fn go_by(&mut self, at: Timestamp) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn is_due(&self, now: Timestamp) -> bool {
        !self.is_empty() && self.due.is_none_or(|due| due <= now)
    }
}

/// A commit that is on its way to the store.
struct Commit {
    records: Arc<Vec<Record>>,
    effects: Vec<Effect>,
    answers: Vec<Answer>,
    task: JoinHandle<Result<(), StoreError>>,
}

/// The owner of the World.
///
/// It steps on while a commit is on its way, so that everything that comes meanwhile is the next commit: nothing waits for a
/// timer, and the slower the disk the larger the groups. Its own World is ahead of the published one by what is not durable yet.
pub(crate) struct Owner {
    pub shared: SharedRef,
    pub inbox: mpsc::Receiver<Message>,
    pub outbox: mpsc::Sender<Effect>,
    pub world: World,
    pub epoch: Epoch,
}

/// What the owner does next.
enum Next {
    Take(Vec<Message>),
    Committed(Result<(), StoreError>),
    Stop,
}

impl Owner {
    /// Runs until cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Batch::default();
        let mut commit: Option<Commit> = None;
        let mut failing = false;
        let took_over = || vec![Message::Input { input: Input::TookOver, by: Actor::engine(), reply: None }];
        self.take_all(took_over(), &mut batch);
        loop {
            if commit.is_none() && batch.is_due(self.shared.ports.clock.now()) {
                commit = Some(self.start(std::mem::take(&mut batch)));
            }
            let room = batch.records.len() < MAX_AHEAD;
            let send_off = batch.due.filter(|_| commit.is_none());
            match self.next(commit.as_mut(), room, send_off, &stop).await {
                Next::Stop => return,
                Next::Take(messages) => self.take_all(messages, &mut batch),
                Next::Committed(Ok(())) => {
                    if let Some(done) = commit.take() {
                        failing &= done.records.is_empty();
                        if !self.finish(done).await {
                            return;
                        }
                    }
                }
                Next::Committed(Err(error)) => {
                    tracing::error!(%error, "commit failed; reading the database again");
                    let lost = commit.take().into_iter().flat_map(|it| it.answers);
                    // What was decided on top of it is as little durable as it is.
                    for answer in lost.chain(std::mem::take(&mut batch).answers) {
                        answer(Err(EngineError::NotDurable(error.to_string())));
                    }
                    // A full disk can be read, and every agent that comes is something to commit.
                    if std::mem::replace(&mut failing, true) && !self.pause(&stop).await {
                        return;
                    }
                    if !self.reload(&stop).await {
                        return;
                    }
                    self.take_all(took_over(), &mut batch);
                }
            }
        }
    }

    /// The end of the commit that is on its way, or everything that is waiting, or a tick when something is due. With no room for
    /// more decisions only the first.
    async fn next(
        &mut self,
        commit: Option<&mut Commit>,
        room: bool,
        send_off: Option<Timestamp>,
        stop: &CancellationToken,
    ) -> Next {
        let timers = [self.world.next_timer().map(|(at, _)| *at), self.world.next_upgrade_due().map(|(at, _)| *at)];
        let timer = timers.into_iter().flatten().min().filter(|_| room).into_iter().chain(send_off).min();
        let clock = self.shared.ports.clock.clone();
        let due = async {
            match timer {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let committed = async {
            match commit {
                Some(it) => (&mut it.task).await.unwrap_or_else(|error| {
                    Err(StoreError::Unavailable(format!("the task of the commit ended: {error}").into()))
                }),
                None => std::future::pending().await,
            }
        };
        let mut messages = tokio::select! {
            biased;
            () = stop.cancelled() => return Next::Stop,
            result = committed => return Next::Committed(result),
            message = self.inbox.recv(), if room => match message {
                Some(message) => vec![message],
                None => return Next::Stop,
            },
            () = due => vec![Message::Input { input: Input::Tick, by: Actor::engine(), reply: None }],
        };
        while messages.len() < MAX_BATCH {
            match self.inbox.try_recv() {
                Ok(message) => messages.push(message),
                Err(_) => break,
            }
        }
        Next::Take(messages)
    }

    fn take_all(&mut self, messages: Vec<Message>, batch: &mut Batch) {
        let now = self.shared.ports.clock.now();
        for message in messages {
            self.take(message, now, batch);
        }
        self.check();
    }

    fn take(&mut self, message: Message, now: Timestamp, batch: &mut Batch) {
        let by_when = match &message {
            Message::Input { input: Input::AttemptAccepted { .. }, reply: None, .. } => MAX_DELAY.after(now),
            _ => now,
        };
        self.decide(message, now, batch);
        if !batch.is_empty() {
            batch.go_by(by_when);
        }
    }

    fn decide(&mut self, message: Message, now: Timestamp, batch: &mut Batch) {
        match message {
            Message::Input { input, by, reply } => {
                let result = self.step(input, by, now, batch);
                if let Some(reply) = reply {
                    batch.answers.push(Box::new(move |durable| {
                        // Nobody waits any more when the asking side has gone; that is its own business.
                        let _ = reply.send(durable.and(result.map_err(EngineError::Refused)));
                    }));
                }
            }
            Message::Connected { node, hello, session, reply } => {
                self.connect(&node, &hello, session, reply, now, batch);
            }
            Message::Disconnected { node, session } => {
                if self.shared.sessions.close(&node, session) {
                    let by = Actor::agent(&node);
                    // A node that was removed meanwhile has nothing to lose.
                    let _ = self.step(Input::AgentLost { node }, by, now, batch);
                }
            }
        }
    }

    fn connect(
        &mut self,
        node: &NodeName,
        hello: &AgentHello,
        session: Arc<dyn AgentSession>,
        reply: oneshot::Sender<Result<(SessionId, Epoch), EngineError>>,
        now: Timestamp,
        batch: &mut Batch,
    ) {
        let input = Input::AgentConnected { node: node.clone(), held: hello.held.clone() };
        let result = self.step(input, Actor::agent(node), now, batch).and_then(|()| {
            let (version, report) = (hello.agent_version.parse().ok(), hello.upgrade.clone());
            let said = Input::AgentSaid { node: node.clone(), version, report };
            self.step(said, Actor::agent(node), now, batch)
        });
        let opened = result.map(|()| self.shared.sessions.open(node, session));
        let (epoch, shared, node) = (self.epoch, self.shared.clone(), node.clone());
        batch.answers.push(Box::new(move |durable| {
            let answer = match (durable, opened) {
                (Ok(()), Ok(id)) => Ok((id, epoch)),
                (Err(error), Ok(id)) => {
                    shared.sessions.close(&node, id);
                    Err(error)
                }
                (_, Err(refusal)) => Err(EngineError::Refused(refusal)),
            };
            let _ = reply.send(answer);
        }));
    }

    fn step(&mut self, mut input: Input, by: Actor, now: Timestamp, batch: &mut Batch) -> Result<(), Refusal> {
        if let Input::Command { command: Command::Accept { plan, made, .. }, .. } = &mut input {
            *made = self.shared.take_proposed(*plan, self.world.applied());
        }
        let progress = step(&mut self.world, input, now)?;
        let mut seq = self.world.applied();
        for change in progress.changes {
            seq = seq.next();
            batch.records.push(Record { seq, at: now, by: by.clone(), change });
        }
        let newest = self.world.next_attempt().0 - 1;
        self.world.set_applied(seq, AttemptId(newest));
        batch.effects.extend(progress.effects);
        Ok(())
    }

    /// Sends a commit on its way.
    fn start(&self, batch: Batch) -> Commit {
        let Batch { records, effects, answers, due: _ } = batch;
        let records = Arc::new(records);
        let (store, epoch, given) = (self.shared.ports.store.clone(), self.epoch, records.clone());
        let task =
            tokio::spawn(async move { if given.is_empty() { Ok(()) } else { store.commit(epoch, &given).await } });
        Commit { records, effects, answers, task }
    }

    /// What follows when changes are durable: they are published, those who wait are told, and the effects get out. False when
    /// nobody carries effects out any more.
    async fn finish(&self, commit: Commit) -> bool {
        self.publish(&commit.records);
        for answer in commit.answers {
            answer(Ok(()));
        }
        for effect in commit.effects {
            // A full outbox makes the owner wait: overload is pushed back, not buffered.
            if self.outbox.send(effect).await.is_err() {
                return false;
            }
        }
        true
    }

    fn publish(&self, records: &[Record]) {
        if records.is_empty() {
            return;
        }
        self.shared.publish(|world| {
            for record in records {
                let applied = world.apply_record(record);
                debug_assert!(applied.is_ok(), "{applied:?}");
            }
        });
        let ended: Vec<_> = records
            .iter()
            .filter_map(|it| match &it.change {
                rebar_model::Change::AttemptPut { attempt } if attempt.outcome.is_some() => Some(attempt.id),
                _ => None,
            })
            .collect();
        if !ended.is_empty() {
            self.shared.progress().retain(|id, _| !ended.contains(id));
        }
    }

    /// In debug builds, what must hold of every World is looked at after everything that was taken.
    fn check(&self) {
        if cfg!(debug_assertions) && self.world.node_roles().len() < 1_000 {
            let violations = rebar_scheduler::invariants::violations(&self.world);
            debug_assert!(violations.is_empty(), "{violations:?}");
        }
    }

    /// Reads the World again after a failed commit: what was decided since is forgotten, and agents say again what they hold.
    async fn reload(&mut self, stop: &CancellationToken) -> bool {
        self.shared.sessions.close_all();
        loop {
            match self.shared.ports.store.load().await {
                Ok(world) if world.epoch() == self.epoch => {
                    self.world = world.clone();
                    self.shared.publish(|it| *it = world);
                    return true;
                }
                Ok(world) => {
                    tracing::error!(ours = %self.epoch, current = %world.epoch(), "another engine leads; stopping");
                    stop.cancel();
                    return false;
                }
                Err(error) => tracing::error!(%error, "database cannot be read"),
            }
            if !self.pause(stop).await {
                return false;
            }
        }
    }

    /// Waits before the database is asked again: false when stopped.
    async fn pause(&self, stop: &CancellationToken) -> bool {
        let again = RETRY_PAUSE.after(self.shared.ports.clock.now());
        tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = self.shared.ports.clock.sleep_until(again) => true,
        }
    }
}

#[cfg(test)]
mod tests;
