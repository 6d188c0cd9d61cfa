//! Becoming another release, as far as the agent goes itself: it gets the release ready while everything goes on, and ends when it is
//! to be tried. What follows is `release/life.rs`.

use rebar_link::{Input, Local};
use rebar_proto::v1::Upgrade;
use tokio::task::AbortHandle;

use crate::{
    daemon::Daemon,
    release::{
        is_on_trial,
        life::Candidate,
        record::{Record, Standing},
        shelf,
        stage::Staged,
    },
};

/// A release that is being got ready.
#[derive(Debug)]
pub(crate) struct Staging {
    upgrade: u64,
    task: AbortHandle,
}

impl Daemon {
    /// Gets a release ready. Whatever cannot be done now is said again by the engine when this agent comes back.
    pub(super) fn upgrade(&mut self, order: Upgrade) {
        let upgrade = order.upgrade;
        let is_staging = self.staging.as_ref().is_some_and(|it| it.upgrade == upgrade);
        if is_on_trial() || is_staging || self.reboot.is_wanted() {
            return;
        }
        match Record::load(&self.state) {
            Ok(Some(record)) if record.upgrade == upgrade => {
                if let Some(report) = record.report() {
                    // One try an upgrade; another one is another upgrade.
                    return self.handle(Input::Local(Local::UpgradeFailed(report)));
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "it is not known what became of the last upgrade"),
        }
        if let Some(before) = self.staging.take() {
            before.task.abort();
        }
        tracing::info!(upgrade, "another release is ordered");
        let task = self.tasks.spawn(self.stager.clone().stage(order));
        self.staging = Some(Staging { upgrade, task });
    }

    /// A release is ready to be tried, or is not taken.
    pub(super) fn on_staged(&mut self, staged: Staged) {
        let Staged { upgrade, outcome } = staged;
        if self.staging.take_if(|it| it.upgrade == upgrade).is_none() {
            return;
        }
        let refusal = match outcome {
            // A machine that goes down for a role comes back first; then the engine says it again.
            Ok(_) if self.reboot.is_wanted() => return,
            Ok(release) if shelf::running().is_some_and(|it| it.statement.sha256 == release.statement.sha256) => return,
            Ok(release) => {
                let sha256 = release.statement.sha256.clone();
                let record = Record { upgrade, sha256, state: Standing::Trying { tries: 1 } };
                match record.save(&self.state) {
                    Ok(()) => {
                        self.candidate = Some(Box::new(Candidate { record, release }));
                        return;
                    }
                    Err(error) => error.to_string(),
                }
            }
            Err(reason) => reason,
        };
        tracing::error!(upgrade, reason = refusal, "release refused");
        let record = Record::refused(upgrade, &refusal);
        if let Err(error) = record.save(&self.state) {
            tracing::error!(%error, "what became of an upgrade is not remembered");
        }
        if let Some(report) = record.report() {
            self.handle(Input::Local(Local::UpgradeFailed(report)));
        }
    }
}
