//! Rebooting the machine for a role. All roles that run are waited for, and none is started meanwhile: a reboot must not be the
//! failure of a neighbour.

use std::{
    collections::BTreeSet,
    process::Stdio,
    time::{Duration, Instant},
};

use rebar_proto::v1::{Dispatch, FailureKind};
use rustix::system::RebootCommand;

use crate::{
    daemon::{Daemon, attempt::Stage},
    disk::journal,
};

/// A machine that has not gone down after this long will not.
const PATIENCE: Duration = Duration::from_mins(10);

/// Whether a reboot is wanted, and how far it is.
#[derive(Debug, Default)]
pub(crate) struct Reboot {
    wanted_by: BTreeSet<u64>,
    deferred: Vec<Dispatch>,
    ordered_at: Option<Instant>,
}

impl Reboot {
    pub(crate) fn is_wanted(&self) -> bool {
        !self.wanted_by.is_empty()
    }

    /// Keeps an attempt until the reboot has failed. After a reboot the engine sends it again, since the journal does not have it.
    pub(crate) fn defer(&mut self, dispatch: Dispatch) {
        self.deferred.push(dispatch);
    }

    pub(crate) fn take_deferred(&mut self, attempt: u64) -> Option<Dispatch> {
        let index = self.deferred.iter().position(|dispatch| dispatch.attempt == attempt)?;
        Some(self.deferred.remove(index))
    }

    /// An attempt does not want a reboot any more.
    pub(crate) fn drop(&mut self, attempt: u64) {
        self.wanted_by.remove(&attempt);
    }
}

impl Daemon {
    /// Reboots the machine when an attempt waits for that and nothing else runs.
    pub(crate) fn reboot_if_wanted(&mut self) {
        let waiting = self.attempts.iter().filter(|(_, held)| matches!(held.stage, Stage::AwaitsReboot));
        self.reboot.wanted_by = waiting.map(|(attempt, _)| *attempt).collect();
        if !self.reboot.is_wanted() {
            self.reboot.ordered_at = None;
            for dispatch in std::mem::take(&mut self.reboot.deferred) {
                self.start(dispatch);
            }
            return;
        }
        match self.reboot.ordered_at {
            Some(at) if at.elapsed() > PATIENCE => self.give_up("the machine did not go down"),
            Some(_) => {}
            None if self.attempts.values().any(|held| held.stage.is_busy()) => {}
            None => {
                tracing::info!(attempts = ?self.reboot.wanted_by, "machine reboots");
                self.reboot.ordered_at = Some(Instant::now());
                if let Err(reason) = order() {
                    self.give_up(&reason);
                }
            }
        }
    }

    fn give_up(&mut self, reason: &str) {
        for attempt in std::mem::take(&mut self.reboot.wanted_by) {
            let Some(held) = self.attempts.get(&attempt) else { continue };
            let message = format!("the machine was to be rebooted: {reason}");
            let result = journal::failure(&held.dir, FailureKind::Setup, message);
            self.end_here(attempt, result);
        }
    }
}

/// Reboots the machine. It returns, since an orderly end takes a while.
fn order() -> Result<(), String> {
    let run = |program: &str, arguments: &[&str]| {
        let command = std::process::Command::new(program).args(arguments).stdin(Stdio::null()).status();
        match command {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{program}: {status}")),
            Err(error) => Err(format!("{program}: {error}")),
        }
    };
    // For tests, and for machines that reboot in a way of their own.
    if let Ok(command) = std::env::var("REBAR_AGENT_REBOOT_COMMAND") {
        return run("/bin/sh", &["-c", &command]);
    }
    let Err(reason) = run("systemctl", &["reboot"]) else { return Ok(()) };
    rustix::fs::sync();
    rustix::system::reboot(RebootCommand::Restart).map_err(|error| format!("{reason}; reboot: {error}"))
}
