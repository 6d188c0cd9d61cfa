//! Doing what the link decides: starting, ending, keeping and forgetting attempts. How they fare is seen in `look.rs`.

use rebar_link::{Input, Local, Output, Refusal};
use rebar_proto::v1::{AttemptResult, Dispatch, FailureKind, agent_message};
use tokio_util::sync::CancellationToken;

use crate::{
    daemon::{
        Daemon,
        attempt::{Attempt, Stage},
        start::Begun,
    },
    disk::{journal, layout::make_directory, spool},
};

impl Daemon {
    /// Lets the link decide, and does what it says.
    pub(super) fn handle(&mut self, input: Input) {
        for output in self.link.handle(input) {
            self.carry_out(output);
        }
        self.pump();
    }

    pub(super) fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send(message) => {
                if self.line.is_some() {
                    if let Some(agent_message::Body::Log(chunk)) = &message.body {
                        let bytes = chunk.data.len() as u64;
                        self.window.sent(chunk.attempt, chunk.offset + bytes, bytes, self.started.elapsed());
                    }
                    self.pending.push_back(message);
                }
            }
            Output::Start(dispatch) => self.start(*dispatch),
            Output::Keep(result) => self.keep(*result),
            Output::Upgrade(order) => self.upgrade(*order),
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
    pub(super) fn keep(&mut self, result: AttemptResult) {
        let attempt = result.attempt;
        let dir = self.state.attempt(attempt);
        let kept = make_directory(dir.root(), 0o700).and_then(|()| journal::write_result(&dir, &result));
        if let Err(error) = kept {
            tracing::error!(attempt, %error, "result only in memory");
        }
        self.attempts.insert(attempt, Attempt::new(dir, Stage::Ended));
    }

    pub(super) fn start(&mut self, dispatch: Dispatch) {
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

    pub(super) fn on_begun(&mut self, begun: Begun) {
        match begun {
            Begun::Started { attempt, at_ms } => {
                let Some(held) = self.attempts.get_mut(&attempt) else { return };
                let is_unwanted = matches!(&held.stage, Stage::Preparing(cancelled) if cancelled.is_cancelled());
                held.stage = Stage::Supervised;
                self.handle(Input::Local(Local::Started { attempt, at_ms }));
                if is_unwanted {
                    self.kill(attempt);
                }
                self.look(attempt);
            }
            Begun::Left { attempt, supervisor } => {
                if let Some(held) = self.attempts.get_mut(&attempt)
                    && matches!(held.stage, Stage::Supervised)
                {
                    held.stage = Stage::Adopted;
                }
                self.look(attempt);
                self.look_for_the_lost(attempt);
                // Nobody signals the supervisor of an attempt that has ended: only then can it have another.
                let has_ended = self.attempts.get(&attempt).is_none_or(|held| matches!(held.stage, Stage::Ended));
                if let Some(supervisor) = supervisor.filter(|_| has_ended) {
                    self.starter.crew.keep(supervisor);
                }
            }
            Begun::Failed { attempt, result } => self.end(attempt, result),
        }
    }

    pub(super) fn kill(&mut self, attempt: u64) {
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

    pub(super) fn forget(&mut self, attempt: u64) {
        self.window.forget(attempt);
        if let Err(error) = journal::remember_forgotten(&self.state, attempt, self.link.forgotten()) {
            tracing::warn!(attempt, %error, "attempt not remembered");
        }
        if let Some(Attempt { dir, .. }) = self.attempts.remove(&attempt) {
            // Nobody waits for it. What is left when the agent ends is found by the next one.
            self.tasks.spawn_blocking(move || {
                if let Err(error) = dir.remove() {
                    tracing::warn!(attempt, %error, "attempt not removed");
                }
            });
        }
    }
}
