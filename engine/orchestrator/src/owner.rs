//! The one task that owns the World: takes what is in the inbox, steps the scheduler, commits all of it at once, publishes, answers,
//! and lets the effects out. It never waits for a timer while something is waiting for it.

use std::sync::Arc;

use jiff::Timestamp;
use rebar_model::{Actor, Epoch, NodeName, Record, Seq, World};
use rebar_ports::{AgentHello, AgentSession, SessionId};
use rebar_scheduler::{Effect, Input, Refusal, step};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{EngineError, MAX_BATCH, limits::RETRY_PAUSE, shared::SharedRef};

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
}

/// The owner of the World.
pub(crate) struct Owner {
    pub shared: SharedRef,
    pub inbox: mpsc::Receiver<Message>,
    pub outbox: mpsc::Sender<Effect>,
    pub world: World,
    pub epoch: Epoch,
}

impl Owner {
    /// Runs until cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut first = vec![Message::Input { input: Input::TookOver, by: Actor::engine(), reply: None }];
        loop {
            let messages = if first.is_empty() {
                match self.next(&stop).await {
                    Some(messages) => messages,
                    None => return,
                }
            } else {
                std::mem::take(&mut first)
            };
            let now = self.shared.ports.clock.now();
            let mut batch = Batch::default();
            for message in messages {
                self.take(message, now, &mut batch);
            }
            if let Err(error) = self.commit(batch).await {
                tracing::error!(%error, "commit failed; reading the database again");
                if !self.reload(&stop).await {
                    return;
                }
                first = vec![Message::Input { input: Input::TookOver, by: Actor::engine(), reply: None }];
            }
        }
    }

    /// Everything that is waiting, or a tick when something is due; none when the engine stops.
    async fn next(&mut self, stop: &CancellationToken) -> Option<Vec<Message>> {
        let timer = self.world.next_timer().map(|(at, _)| *at);
        let clock = self.shared.ports.clock.clone();
        let due = async {
            match timer {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let mut messages = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            message = self.inbox.recv() => vec![message?],
            () = due => vec![Message::Input { input: Input::Tick, by: Actor::engine(), reply: None }],
        };
        while messages.len() < MAX_BATCH {
            match self.inbox.try_recv() {
                Ok(message) => messages.push(message),
                Err(_) => break,
            }
        }
        Some(messages)
    }

    fn take(&mut self, message: Message, now: Timestamp, batch: &mut Batch) {
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
        let result = self.step(input, Actor::agent(node), now, batch);
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

    fn step(&mut self, input: Input, by: Actor, now: Timestamp, batch: &mut Batch) -> Result<(), Refusal> {
        let progress = step(&mut self.world, input, now)?;
        let mut seq = batch.records.last().map_or(self.world.applied(), |it| it.seq);
        for change in progress.changes {
            seq = seq.next();
            batch.records.push(Record { seq, at: now, by: by.clone(), change });
        }
        batch.effects.extend(progress.effects);
        Ok(())
    }

    async fn commit(&mut self, batch: Batch) -> Result<(), rebar_ports::StoreError> {
        let Batch { records, effects, answers } = batch;
        if let Some(last) = records.last().map(|it| it.seq) {
            if let Err(error) = self.shared.ports.store.commit(self.epoch, &records).await {
                for answer in answers {
                    answer(Err(EngineError::Stopped));
                }
                return Err(error);
            }
            self.publish(&records, last);
        }
        for answer in answers {
            answer(Ok(()));
        }
        for effect in effects {
            // A full outbox makes the owner wait: overload is pushed back, not buffered.
            if self.outbox.send(effect).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn publish(&mut self, records: &[Record], last: Seq) {
        let newest = self.world.next_attempt().0 - 1;
        self.world.set_applied(last, rebar_model::AttemptId(newest));
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
        self.check();
    }

    /// In debug builds, what must hold of every World is looked at after every commit.
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
            let again = RETRY_PAUSE.after(self.shared.ports.clock.now());
            tokio::select! {
                () = stop.cancelled() => return false,
                () = self.shared.ports.clock.sleep_until(again) => {}
            }
        }
    }
}
