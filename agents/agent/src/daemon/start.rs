//! Starting an attempt: content, directory, journal, supervisor, in this order. When the journal has it, it will be run once.

use std::sync::Arc;

use rebar_proto::v1::{AttemptResult, Dispatch, FailureKind};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    daemon::crew::{Crew, Supervisor},
    disk::{
        content, journal,
        layout::{AttemptDir, State},
    },
    door::fetch::Fetcher,
    error::{Context, Error, is_full_disk},
    user,
};

/// What became of a start.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It is in the journal, and a supervisor has it.
    Started { attempt: u64, at_ms: i64 },
    /// No supervisor has it any more; what was done is on disk. The one that had it can have another, or is gone.
    Left { attempt: u64, supervisor: Option<Supervisor> },
    /// It could not be started.
    Failed { attempt: u64, result: AttemptResult },
}

/// Starts attempts.
#[derive(Debug, Clone)]
pub(crate) struct Starter {
    pub(crate) state: State,
    pub(crate) boot_id: String,
    /// What the logs of all attempts may take on disk together, in bytes.
    pub(crate) spools: u64,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) crew: Arc<Crew>,
    pub(crate) reports: mpsc::Sender<Begun>,
}

impl Starter {
    /// Starts an attempt that has just been ordered, and stays until its supervisor has left it.
    pub(crate) async fn start(self, dispatch: Dispatch, cancelled: CancellationToken) {
        let dir = self.state.attempt(dispatch.attempt);
        let fetched = tokio::select! {
            () = cancelled.cancelled() => Err(Error::Cancelled),
            fetched = self.fetcher.ensure(&dispatch.content) => fetched,
        };
        let prepared = match fetched {
            Ok(()) => self.prepare(dir.clone(), dispatch).await,
            Err(error) => Err(error),
        };
        match prepared {
            Ok(at_ms) => self.resume(dir, at_ms).await,
            Err(error) => self.fail(dir, &error).await,
        }
    }

    /// Gives an attempt that is in the journal to a supervisor, and stays until that has left it.
    pub(crate) async fn resume(self, dir: AttemptDir, at_ms: i64) {
        let attempt = dir.attempt();
        let supervisor = match self.crew.begin(&self.state, &dir, self.spools).await {
            Ok(supervisor) => supervisor,
            Err(error) => return self.fail(dir, &error).await,
        };
        self.report(Begun::Started { attempt, at_ms }).await;
        let supervisor = supervisor.left().await;
        self.report(Begun::Left { attempt, supervisor }).await;
    }

    async fn prepare(&self, dir: AttemptDir, dispatch: Dispatch) -> Result<i64, Error> {
        let (state, boot_id) = (self.state.clone(), self.boot_id.clone());
        let prepared = tokio::task::spawn_blocking(move || prepare(&state, &dir, &dispatch, &boot_id)).await;
        prepared.unwrap_or_else(|error| Err(Error::Setup(error.to_string())))
    }

    async fn fail(&self, dir: AttemptDir, error: &Error) {
        let attempt = dir.attempt();
        let result = journal::failure(&dir, kind(error), error.to_string());
        let kept = std::fs::create_dir_all(dir.root()).at(dir.root());
        let kept = kept.and_then(|()| journal::write_result(&dir, &result)).and_then(|()| dir.remove_inputs());
        if let Err(error) = kept {
            tracing::error!(attempt, %error, "result only in memory");
        }
        self.report(Begun::Failed { attempt, result }).await;
    }

    async fn report(&self, begun: Begun) {
        // Nobody listens any more when the agent is about to end.
        let _ = self.reports.send(begun).await;
    }
}

/// What a start that failed means for the attempt, of which nothing has been run.
fn kind(error: &Error) -> FailureKind {
    match error {
        Error::Cancelled => FailureKind::Cancelled,
        // There may be space later.
        error if is_full_disk(error) => FailureKind::Tempfail,
        _ => FailureKind::Setup,
    }
}

fn prepare(state: &State, dir: &AttemptDir, dispatch: &Dispatch, boot_id: &str) -> Result<i64, Error> {
    let user = if dispatch.user.is_empty() { None } else { Some(user::find(&dispatch.user)?) };
    dir.create()?;
    content::stage(state, &dispatch.content, dir, user.as_ref())?;
    let inputs = if dispatch.inputs_json.is_empty() { "{}" } else { &dispatch.inputs_json };
    dir.write_inputs(inputs.as_bytes())?;
    if let Some(user) = &user {
        content::give_file(&dir.inputs(), user)?;
    }
    journal::enter(dir, dispatch, boot_id)
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, path::PathBuf};

    use super::*;

    #[test]
    fn a_full_disk_is_tried_again_and_nothing_else() {
        let file = |kind: ErrorKind| Error::File { path: PathBuf::from("/state/dispatch.pb"), source: kind.into() };
        let cases = [
            (file(ErrorKind::StorageFull), FailureKind::Tempfail),
            (file(ErrorKind::QuotaExceeded), FailureKind::Tempfail),
            (file(ErrorKind::PermissionDenied), FailureKind::Setup),
            (Error::Cancelled, FailureKind::Cancelled),
            (Error::Setup("no such user".to_owned()), FailureKind::Setup),
        ];
        for (error, expected) in cases {
            assert_eq!(kind(&error), expected, "{error}");
        }
    }
}
