//! The machine itself: which attempts are held, which epoch is obeyed, and what follows from each input. It decides; it does not do.

use std::collections::{BTreeMap, VecDeque};

use rebar_proto::v1::{
    AgentMessage, AttemptResult, Cancel, Dispatch, EngineMessage, Facts, Failed, FailureKind, Heartbeat, HeldAttempt,
    Hello, LogAck, LogChunk, Phase, ResultAck, Started, Upgrade, Welcome, agent_message, attempt_result,
    engine_message,
};

use crate::event::{Input, Local, Output, Recovered, RecoveredState, Refusal, Session};
use crate::held::{Held, Log, State};

/// How many acknowledged attempts are remembered by number, so that a late dispatch of one is not run again.
pub const MAX_FORGOTTEN: usize = 4096;
/// How many attempts may wait for nothing but the acknowledgement of the end of their log. Beyond that the rest of the oldest one's
/// log is given up, and the log says so.
pub const MAX_TAILS: usize = 256;
/// What stands at the end of a log whose rest was given up.
const GIVEN_UP: &[u8] = b"\n[the rest of this log was given up by the agent]\n";

/// The agent's side of the conversation.
#[derive(Debug, Default)]
pub struct Link {
    epoch: u64,
    talk: Talk,
    held: BTreeMap<u64, Held>,
    forgotten: VecDeque<u64>,
}

/// How far the talk with an engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Talk {
    #[default]
    Silent,
    /// Hello has been said, the engine has not answered.
    Greeted,
    /// The engine is one that this agent obeys.
    Welcomed,
}

impl Link {
    /// A link that goes on from what the disk holds.
    pub fn recover(recovered: Recovered) -> Self {
        let held = recovered.attempts.into_iter().map(|one| {
            let state = match one.state {
                RecoveredState::Running { at_ms } => State::Running { at_ms },
                RecoveredState::Finished(result) => State::Finished(Box::new(result)),
            };
            let log = Log { sent: one.log_from, acked: one.log_from, drained: false };
            (one.attempt, Held { node_role: one.node_role, state, log })
        });
        Self { epoch: recovered.epoch, talk: Talk::Silent, held: held.collect(), forgotten: recovered.forgotten.into() }
    }

    /// The highest epoch obeyed.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether an engine that this agent obeys is listening.
    pub fn is_welcomed(&self) -> bool {
        self.talk == Talk::Welcomed
    }

    /// The attempts that may be doing something to the machine.
    pub fn busy(&self) -> impl Iterator<Item = u64> + '_ {
        self.held.iter().filter(|(_, held)| held.is_busy()).map(|(attempt, _)| *attempt)
    }

    /// Numbers of acknowledged attempts, oldest first; to be kept on disk.
    pub fn forgotten(&self) -> impl Iterator<Item = u64> + '_ {
        self.forgotten.iter().copied()
    }

    /// What follows from an input.
    pub fn handle(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Connected(session) => self.greet(session, &mut out),
            Input::Disconnected => {
                self.talk = Talk::Silent;
                self.held.values_mut().for_each(|held| held.log.rewind());
            }
            Input::Engine(message) => self.on_engine(message, &mut out),
            Input::Local(local) => self.on_local(local, &mut out),
        }
        out
    }

    fn greet(&mut self, session: Session, out: &mut Vec<Output>) {
        self.talk = Talk::Greeted;
        self.held.values_mut().for_each(|held| held.log.rewind());
        let held = self.held.iter().filter_map(|(attempt, held)| match held.state {
            State::Running { .. } => Some(HeldAttempt { attempt: *attempt, finished: false }),
            State::Finished(_) => Some(HeldAttempt { attempt: *attempt, finished: true }),
            // Neither is in the journal as something that the engine has to hear about.
            State::Waiting(_) | State::Starting | State::Tail { .. } => None,
        });
        let hello = Hello {
            agent_version: session.agent_version,
            boot_id: session.boot_id,
            epoch: self.epoch,
            held: held.collect(),
            upgrade_failed: session.upgrade_failed,
        };
        out.push(send(agent_message::Body::Hello(hello)));
        out.push(send(agent_message::Body::Facts(Facts { json: session.facts_json })));
    }

    fn on_engine(&mut self, message: EngineMessage, out: &mut Vec<Output>) {
        let Some(body) = message.body else {
            out.push(Output::Refused(Refusal::UnknownMessage));
            return;
        };
        match (self.talk, body) {
            // What is left of a stream that has ended.
            (Talk::Silent, _) => out.push(Output::Refused(Refusal::NotWelcomed)),
            (Talk::Greeted | Talk::Welcomed, engine_message::Body::Ping(_)) => {
                out.push(send(agent_message::Body::Heartbeat(Heartbeat {})));
            }
            (Talk::Greeted | Talk::Welcomed, engine_message::Body::Welcome(welcome)) => self.on_welcome(&welcome, out),
            (Talk::Greeted, _) => out.push(Output::Disconnect(Refusal::NotWelcomed)),
            (Talk::Welcomed, engine_message::Body::Dispatch(dispatch)) => self.on_dispatch(dispatch, out),
            (Talk::Welcomed, engine_message::Body::Cancel(cancel)) => self.on_cancel(&cancel, out),
            (Talk::Welcomed, engine_message::Body::ResultAck(ack)) => self.on_result_ack(ack, out),
            (Talk::Welcomed, engine_message::Body::LogAck(ack)) => self.on_log_ack(&ack, out),
            (Talk::Welcomed, engine_message::Body::Upgrade(upgrade)) => self.on_upgrade(upgrade, out),
        }
    }

    fn on_welcome(&mut self, welcome: &Welcome, out: &mut Vec<Output>) {
        if !self.obey(welcome.epoch, out) {
            out.push(Output::Disconnect(Refusal::LowerEpoch { offered: welcome.epoch, highest: self.epoch }));
            return;
        }
        self.talk = Talk::Welcomed;
        for (attempt, held) in &self.held {
            match &held.state {
                State::Waiting(_) | State::Starting => {}
                State::Running { at_ms } => {
                    out.push(started(*attempt, *at_ms));
                    out.push(Output::ReadLog { attempt: *attempt, from: held.log.acked });
                }
                // The result follows when the log has been said: the engine reads the story before its end.
                State::Finished(_) | State::Tail { .. } => {
                    out.push(Output::ReadLog { attempt: *attempt, from: held.log.acked });
                }
            }
        }
    }

    /// Whether an order of this epoch is obeyed; a higher one is remembered first.
    fn obey(&mut self, epoch: u64, out: &mut Vec<Output>) -> bool {
        if epoch > self.epoch {
            self.epoch = epoch;
            out.push(Output::RememberEpoch(epoch));
        }
        epoch == self.epoch
    }

    fn on_dispatch(&mut self, dispatch: Dispatch, out: &mut Vec<Output>) {
        let attempt = dispatch.attempt;
        if !self.obey(dispatch.epoch, out) {
            out.push(Output::Refused(Refusal::LowerEpoch { offered: dispatch.epoch, highest: self.epoch }));
            return;
        }
        if self.forgotten.contains(&attempt) {
            out.push(Output::Refused(Refusal::AlreadyForgotten { attempt }));
            return;
        }
        match self.held.get(&attempt).map(|held| &held.state) {
            Some(State::Running { at_ms }) => out.push(started(attempt, *at_ms)),
            Some(State::Finished(_)) => self.offer(attempt, out),
            Some(State::Waiting(_) | State::Starting | State::Tail { .. }) => {}
            None => self.admit(dispatch, out),
        }
    }

    /// Takes in an attempt that has never been seen.
    fn admit(&mut self, dispatch: Dispatch, out: &mut Vec<Output>) {
        let attempt = dispatch.attempt;
        let rivals: Vec<u64> = self
            .held
            .iter()
            .filter(|(_, held)| held.node_role == dispatch.node_role && held.is_open())
            .map(|(rival, _)| *rival)
            .collect();
        let node_role = dispatch.node_role.clone();
        if rivals.iter().any(|rival| *rival > attempt) {
            self.never_run(cancelled(attempt, "a newer attempt of this node-role is here"), out);
            return;
        }
        let mut busy = false;
        for rival in rivals {
            match self.held.get(&rival).map(|held| &held.state) {
                Some(State::Waiting(_)) => {
                    self.never_run(cancelled(rival, "a newer attempt of this node-role replaced it"), out);
                }
                Some(State::Starting | State::Running { .. }) => {
                    busy = true;
                    out.push(Output::Kill { attempt: rival });
                }
                _ => {}
            }
        }
        let state = if busy {
            State::Waiting(Box::new(dispatch))
        } else {
            out.push(Output::Start(Box::new(dispatch)));
            State::Starting
        };
        self.held.insert(attempt, Held { node_role, state, log: Log::default() });
    }

    fn on_cancel(&mut self, cancel: &Cancel, out: &mut Vec<Output>) {
        let attempt = cancel.attempt;
        if !self.obey(cancel.epoch, out) {
            out.push(Output::Refused(Refusal::LowerEpoch { offered: cancel.epoch, highest: self.epoch }));
            return;
        }
        if self.forgotten.contains(&attempt) {
            out.push(Output::Refused(Refusal::AlreadyForgotten { attempt }));
            return;
        }
        match self.held.get(&attempt).map(|held| &held.state) {
            Some(State::Starting | State::Running { .. }) => out.push(Output::Kill { attempt }),
            Some(State::Waiting(_)) => self.never_run(cancelled(attempt, "cancelled before it started"), out),
            Some(State::Finished(_)) => self.offer(attempt, out),
            Some(State::Tail { .. }) => {}
            None => self.never_run(cancelled(attempt, "cancelled before it reached this machine"), out),
        }
    }

    fn on_upgrade(&mut self, upgrade: Upgrade, out: &mut Vec<Output>) {
        if self.obey(upgrade.epoch, out) {
            out.push(Output::Upgrade(Box::new(upgrade)));
        } else {
            out.push(Output::Refused(Refusal::LowerEpoch { offered: upgrade.epoch, highest: self.epoch }));
        }
    }

    /// An attempt ends that has never been run; it may never have been heard of. Holding it as ended keeps a late dispatch from
    /// being run.
    fn never_run(&mut self, result: AttemptResult, out: &mut Vec<Output>) {
        let attempt = result.attempt;
        out.push(Output::Keep(Box::new(result.clone())));
        let node_role = self.held.remove(&attempt).map(|held| held.node_role).unwrap_or_default();
        let log = Log { drained: true, ..Log::default() };
        self.held.insert(attempt, Held { node_role, state: State::Finished(Box::new(result)), log });
        self.offer(attempt, out);
    }

    fn on_result_ack(&mut self, ack: ResultAck, out: &mut Vec<Output>) {
        let attempt = ack.attempt;
        let Some(held) = self.held.get_mut(&attempt) else { return };
        match &held.state {
            State::Finished(result) if held.log.acked >= result.log_bytes => self.forget(attempt, out),
            State::Finished(result) => {
                held.state = State::Tail { log_bytes: result.log_bytes };
                self.shorten_tails(out);
            }
            State::Tail { .. } => {}
            State::Waiting(_) | State::Starting | State::Running { .. } => {
                out.push(Output::Refused(Refusal::NotFinished { attempt }));
            }
        }
    }

    fn on_log_ack(&mut self, ack: &LogAck, out: &mut Vec<Output>) {
        let attempt = ack.attempt;
        let Some(held) = self.held.get_mut(&attempt) else { return };
        if ack.offset <= held.log.acked {
            return;
        }
        held.log.acked = ack.offset;
        if matches!(held.state, State::Tail { log_bytes } if ack.offset >= log_bytes) {
            self.forget(attempt, out);
            return;
        }
        out.push(Output::TrimLog { attempt, before: ack.offset });
        // After a restart of the agent the engine may have more than the agent remembers.
        if ack.offset > held.log.sent {
            held.log.sent = ack.offset;
            out.push(Output::ReadLog { attempt, from: ack.offset });
        }
    }

    fn on_local(&mut self, local: Local, out: &mut Vec<Output>) {
        match local {
            Local::Started { attempt, at_ms } => {
                let Some(held) = self.held.get_mut(&attempt) else { return };
                if !matches!(held.state, State::Starting) {
                    return;
                }
                held.state = State::Running { at_ms };
                if self.is_welcomed() {
                    out.push(started(attempt, at_ms));
                    out.push(Output::ReadLog { attempt, from: 0 });
                }
            }
            Local::Log(chunk) => self.on_log(chunk, out),
            Local::LogDrained { attempt } => {
                let Some(held) = self.held.get_mut(&attempt) else { return };
                if self.talk == Talk::Welcomed && !held.log.drained {
                    held.log.drained = true;
                    // A power cut may have taken its end, and nobody would wait for that in vain.
                    let ends = held.log_bytes().unwrap_or(held.log.sent);
                    out.extend(give_up_log(attempt, held.log.sent, ends));
                    held.log.sent = held.log.sent.max(ends);
                    self.offer(attempt, out);
                }
            }
            Local::LogTakesLong { attempt } => self.say_result(attempt, out),
            Local::Quiet if self.talk != Talk::Silent => {
                out.push(send(agent_message::Body::Heartbeat(Heartbeat {})));
            }
            Local::Quiet => {}
            Local::Progress(progress) => {
                let runs = self.held.get(&progress.attempt).is_some_and(Held::is_busy);
                if runs && self.is_welcomed() {
                    out.push(send(agent_message::Body::Progress(progress)));
                }
            }
            Local::Finished(result) => self.finish(result, out),
            Local::Facts(json) if self.is_welcomed() => out.push(send(agent_message::Body::Facts(Facts { json }))),
            Local::UpgradeFailed(failed) if self.is_welcomed() => {
                out.push(send(agent_message::Body::UpgradeFailed(failed)));
            }
            Local::Facts(_) | Local::UpgradeFailed(_) => {}
        }
    }

    fn on_log(&mut self, chunk: LogChunk, out: &mut Vec<Output>) {
        if !self.is_welcomed() {
            return;
        }
        let Some(held) = self.held.get_mut(&chunk.attempt) else { return };
        // A reader that began before the last `ReadLog` may be ahead of it, or behind.
        if chunk.offset != held.log.sent + chunk.lost {
            return;
        }
        held.log.sent = chunk.offset + chunk.data.len() as u64;
        out.push(send(agent_message::Body::Log(chunk)));
    }

    /// An attempt has ended.
    fn finish(&mut self, result: AttemptResult, out: &mut Vec<Output>) {
        let attempt = result.attempt;
        let Some(held) = self.held.get_mut(&attempt) else { return };
        if !held.is_open() {
            return;
        }
        // Started and ended between two looks: the reader has not been told to begin.
        let unread = matches!(held.state, State::Starting);
        held.log.drained = false;
        held.state = State::Finished(Box::new(result));
        let node_role = held.node_role.clone();
        if unread && self.is_welcomed() {
            out.push(Output::ReadLog { attempt, from: 0 });
        }
        self.start_next(&node_role, out);
    }

    /// Starts the attempt that waited for the end of the others of its node-role.
    fn start_next(&mut self, node_role: &str, out: &mut Vec<Output>) {
        if self.held.values().any(|held| held.node_role == node_role && held.is_busy()) {
            return;
        }
        let next = self.held.values_mut().find(|held| held.node_role == node_role && held.is_open());
        if let Some(held) = next
            && let State::Waiting(dispatch) = std::mem::replace(&mut held.state, State::Starting)
        {
            out.push(Output::Start(dispatch));
        }
    }

    /// Says the result of an ended attempt, if somebody listens and has heard its log.
    fn offer(&mut self, attempt: u64, out: &mut Vec<Output>) {
        if self.held.get(&attempt).is_some_and(|held| held.log.drained) {
            self.say_result(attempt, out);
        }
    }

    /// Says the result of an ended attempt, if somebody listens.
    fn say_result(&mut self, attempt: u64, out: &mut Vec<Output>) {
        if let Some(held) = self.held.get(&attempt)
            && let State::Finished(result) = &held.state
            && self.talk == Talk::Welcomed
        {
            out.push(send(agent_message::Body::Result((**result).clone())));
        }
    }

    fn forget(&mut self, attempt: u64, out: &mut Vec<Output>) {
        self.held.remove(&attempt);
        self.forgotten.push_back(attempt);
        while self.forgotten.len() > MAX_FORGOTTEN {
            self.forgotten.pop_front();
        }
        out.push(Output::Forget { attempt });
    }

    /// An engine that never acknowledges the end of a log must not fill the disk.
    fn shorten_tails(&mut self, out: &mut Vec<Output>) {
        let tails = self.held.iter().filter_map(|(attempt, held)| match held.state {
            State::Tail { log_bytes } => Some((*attempt, held.log.sent, log_bytes)),
            _ => None,
        });
        let tails: Vec<_> = tails.collect();
        for (attempt, sent, log_bytes) in tails.iter().take(tails.len().saturating_sub(MAX_TAILS)) {
            out.extend(give_up_log(*attempt, *sent, *log_bytes));
            self.forget(*attempt, out);
        }
    }
}

fn send(body: agent_message::Body) -> Output {
    Output::Send(AgentMessage { body: Some(body) })
}

/// The last piece of a log whose rest is given up: it stands for the last bytes, and says how many are missing before it.
fn give_up_log(attempt: u64, sent: u64, log_bytes: u64) -> Option<Output> {
    let missing = log_bytes.saturating_sub(sent);
    let said = missing.min(GIVEN_UP.len() as u64);
    let data = GIVEN_UP[..usize::try_from(said).ok()?].to_vec();
    let chunk = LogChunk { attempt, offset: log_bytes - said, data, lost: missing - said, ..LogChunk::default() };
    (missing > 0).then(|| send(agent_message::Body::Log(chunk)))
}

fn started(attempt: u64, at_ms: i64) -> Output {
    let nanos = i32::try_from(at_ms.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    let at = prost_types::Timestamp { seconds: at_ms.div_euclid(1000), nanos };
    send(agent_message::Body::Started(Started { attempt, at: Some(at) }))
}

/// The result of an attempt that was never run. It has no time, since this crate has no clock: the engine's own is meant.
fn cancelled(attempt: u64, message: &str) -> AttemptResult {
    let failed = Failed {
        phase: Phase::Unspecified.into(),
        kind: FailureKind::Cancelled.into(),
        exit_code: None,
        message: message.to_owned(),
        retry_after: None,
    };
    AttemptResult { attempt, finished_at: None, outcome: Some(attempt_result::Outcome::Failed(failed)), log_bytes: 0 }
}
