//! The supervisors of this agent, from here: starting one, giving it an attempt, and keeping it for the next when that has ended. A
//! program takes as long to start as many a role to run. What a supervisor does with an attempt is in `supervise/`.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::Stdio,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{
    disk::layout::{AttemptDir, State},
    error::{Context, Error},
};

/// What supervisors have said of themselves is begun anew when it is longer than this many bytes.
const MAX_WORDS: u64 = 1024 * 1024;
/// Supervisors that wait for an attempt; further ones end.
const MAX_WAITING: usize = 8;
/// How long a supervisor waits for an attempt before it ends.
const PATIENCE: Duration = Duration::from_secs(2);

/// A supervisor that is this process's child. It ends when this does and it has no attempt, or when it is dropped.
#[derive(Debug)]
pub(crate) struct Supervisor {
    child: Child,
    orders: ChildStdin,
    words: ChildStdout,
}

impl Supervisor {
    fn start(state: &State, spools: u64) -> Result<Self, Error> {
        let program = "/proc/self/exe";
        let mut child = Command::new(program)
            .arg("supervise")
            .arg(state.root())
            .arg(spools.to_string())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(words(&state.supervisors_log())?)
            .spawn()
            .at(program)?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(orders), Some(words)) => Ok(Self { child, orders, words }),
            _ => Err(Error::Setup("a supervisor has no pipes".to_owned())),
        }
    }

    async fn order(&mut self, dir: &AttemptDir) -> Result<(), Error> {
        self.orders.write_all(format!("{}\n", dir.attempt()).as_bytes()).await.at(dir.root())
    }

    /// Waits until it has nothing more to do with its attempt: itself, if it can have another.
    pub(crate) async fn left(mut self) -> Option<Self> {
        if matches!(self.words.read(&mut [0]).await, Ok(1)) {
            return Some(self);
        }
        if let Err(error) = self.child.wait().await {
            tracing::warn!(%error, "supervisor not waited for");
        }
        None
    }
}

/// Supervisors that wait for an attempt.
#[derive(Debug, Default)]
pub(crate) struct Crew(Mutex<Vec<(Instant, Supervisor)>>);

impl Crew {
    /// Has an attempt that is in the journal carried out, by one that waits or by a new one.
    pub(crate) async fn begin(&self, state: &State, dir: &AttemptDir, spools: u64) -> Result<Supervisor, Error> {
        while let Some(mut supervisor) = self.take() {
            // One that somebody has ended takes no order.
            if supervisor.order(dir).await.is_ok() {
                return Ok(supervisor);
            }
        }
        let mut supervisor = Supervisor::start(state, spools)?;
        supervisor.order(dir).await?;
        Ok(supervisor)
    }

    /// Keeps one for the next attempt.
    pub(crate) fn keep(&self, supervisor: Supervisor) {
        let mut waiting = self.waiting();
        if waiting.len() < MAX_WAITING {
            waiting.push((Instant::now(), supervisor));
        }
    }

    /// Lets those go that have waited long.
    pub(crate) fn dismiss(&self) {
        self.waiting().retain(|(since, _)| since.elapsed() < PATIENCE);
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    fn take(&self) -> Option<Supervisor> {
        let (_, mut supervisor) = self.waiting().pop()?;
        matches!(supervisor.child.try_wait(), Ok(None)).then_some(supervisor)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(Instant, Supervisor)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file of what supervisors say of themselves.
fn words(path: &Path) -> Result<File, Error> {
    let words = OpenOptions::new().append(true).create(true).mode(0o600).open(path).at(path)?;
    if words.metadata().at(path)?.len() > MAX_WORDS {
        words.set_len(0).at(path)?;
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_supervisors_said_is_begun_anew_when_it_is_too_long() {
        let home = tempfile::tempdir().expect("directory");
        let path = home.path().join("supervisors.log");
        let length = || words(&path).and_then(|words| words.metadata().at(&path)).expect("words").len();
        assert_eq!(length(), 0);
        for (before, after) in [(MAX_WORDS, MAX_WORDS), (MAX_WORDS + 1, 0)] {
            words(&path).and_then(|words| words.set_len(before).at(&path)).expect("words");
            assert_eq!(length(), after);
        }
    }

    /// Something that has the pipes of a supervisor.
    fn waiting() -> Supervisor {
        let mut child =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a program that waits");
        let (orders, words) = (child.stdin.take().expect("pipe"), child.stdout.take().expect("pipe"));
        Supervisor { child, orders, words }
    }

    #[tokio::test]
    async fn so_many_wait_and_those_that_have_ended_take_nothing() {
        let crew = Crew::default();
        for _ in 0..=MAX_WAITING {
            crew.keep(waiting());
        }
        assert_eq!(crew.waiting().len(), MAX_WAITING);
        let mut last = crew.take().expect("one that waits");
        last.child.kill().await.expect("killed");
        crew.keep(last);
        assert!(crew.take().is_none(), "it has ended");
        crew.dismiss();
        assert!(!crew.is_empty(), "they have not waited long");
        crew.waiting().iter_mut().for_each(|(since, _)| *since -= PATIENCE);
        crew.dismiss();
        assert!(crew.is_empty());
    }
}
