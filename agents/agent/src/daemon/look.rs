//! Seeing how attempts fare, with and without a knock, and passing on what is new: progress, log, end.

use rebar_link::{Input, Local};
use rebar_proto::v1::{AttemptResult, FailureKind, attempt_result::Outcome};

use crate::{
    daemon::{
        Daemon,
        attempt::{Attempt, Stage},
    },
    disk::{
        journal::{self, Condition},
        layout::AttemptDir,
    },
    supervise::{environment, leftovers},
};

/// Messages that wait for the session; no more log is read while there are so many.
pub(super) const MAX_PENDING: usize = 64;

impl Daemon {
    pub(super) fn look_at_all(&mut self) {
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
        self.reap();
    }

    /// What is new about an attempt.
    pub(super) fn look(&mut self, attempt: u64) {
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
    pub(super) fn look_for_the_lost(&mut self, attempt: u64) {
        let Some(held) = self.attempts.get_mut(&attempt) else { return };
        if !matches!(held.stage, Stage::Adopted) {
            return;
        }
        match journal::look_again(&held.dir, &self.boot_id) {
            Condition::Supervised => {}
            Condition::Ended(result) => self.end(attempt, result),
            Condition::AwaitsReboot => {
                // Somebody may have wanted its end while its supervisor was ending.
                let is_killed = held.is_killed();
                held.stage = Stage::AwaitsReboot;
                if is_killed {
                    self.kill(attempt);
                } else {
                    self.reboot_if_wanted();
                }
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

    /// Reads logs for as long as the session takes them, of one attempt after the other.
    pub(super) fn pump(&mut self) {
        let reading = |(attempt, held): (&u64, &Attempt)| held.reader.is_some().then_some(*attempt);
        let later = self.attempts.range(self.turn.saturating_add(1)..).filter_map(reading);
        let mut order: Vec<u64> = later.chain(self.attempts.range(..=self.turn).filter_map(reading)).collect();
        while !order.is_empty() {
            let mut left = Vec::with_capacity(order.len());
            for attempt in order {
                let room = self.window.room(self.started.elapsed());
                let Some(room) = room.filter(|_| self.pending.len() < MAX_PENDING) else { return };
                let Some(said) = self.attempts.get_mut(&attempt).and_then(|held| held.next_log(room)) else { continue };
                self.turn = attempt;
                left.push(attempt);
                for output in self.link.handle(Input::Local(said)) {
                    self.carry_out(output);
                }
            }
            order = left;
        }
    }

    /// An attempt has ended. Its log is said before its end, unless that takes long.
    pub(super) fn end(&mut self, attempt: u64, result: AttemptResult) {
        let Some(held) = self.attempts.get_mut(&attempt) else { return };
        held.stage = Stage::Ended;
        tracing::info!(attempt, outcome = outcome(&result), "attempt ended");
        self.reboot.drop(attempt);
        self.handle(Input::Local(Local::Finished(result)));
        self.reboot_if_wanted();
    }

    /// Ends an attempt from here, because nobody else can.
    pub(super) fn end_here(&mut self, attempt: u64, result: AttemptResult) {
        if let Some(held) = self.attempts.get(&attempt) {
            keep_result(&held.dir, &result);
        }
        self.end(attempt, result);
    }
}

pub(super) fn went_down(dir: &AttemptDir) -> AttemptResult {
    let what = journal::current_phase(dir)
        .map_or("the attempt".to_owned(), |phase| format!("phase {}", environment::phase_name(phase)));
    let message = format!("the machine or supervisor went down while {what} ran");
    journal::failure(dir, FailureKind::Error, message)
}

fn outcome(result: &AttemptResult) -> &'static str {
    match &result.outcome {
        Some(Outcome::Succeeded(_)) => "succeeded",
        Some(Outcome::Failed(failed)) => failed.kind().as_str_name(),
        None => "unknown",
    }
}

/// Keeps a result as well as the disk allows.
pub(super) fn keep_result(dir: &AttemptDir, result: &AttemptResult) {
    if let Err(error) = journal::write_result(dir, result).and_then(|()| dir.remove_inputs()) {
        tracing::error!(attempt = dir.attempt(), %error, "result only in memory");
    }
}
