//! The trial of a release: it runs as the child of the program that it is to take the place of, which keeps nothing for itself but the
//! watch. When the new one ends, or an engine that answers does not welcome it, the old one goes on as if nothing had been; when
//! it has stayed, the old one becomes it. Nothing here depends on what the new one is.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    disk::layout::State,
    door::{dial, identity::Identity},
    error::{Context, Error},
    release::{ON_TRIAL, WELCOMED, boot, is_on_trial, shelf::Shelved},
};

/// How long an engine that answers may take to welcome the new one.
const WELCOME_WITHIN: Duration = Duration::from_secs(120);
/// How long the new one has to stay after it was welcomed.
const STABLE_FOR: Duration = Duration::from_secs(10);
/// How often the old one looks whether an engine answers.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How long the new one may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(10);
/// A machine or an agent that goes down so often in the middle of a trial does so because of it.
pub const MAX_TRIES: u32 = 3;

/// What a trial showed.
#[derive(Debug)]
pub enum Verdict {
    /// It was welcomed, and stayed. It has ended, and its place is free.
    Kept,
    /// It did not.
    Failed(String),
    /// Somebody asked the agent to end in the middle.
    Stopped,
}

/// Tries a release.
pub async fn run(state: &State, release: &Shelved, stop: &CancellationToken) -> Verdict {
    tracing::info!(version = release.statement.version, "release on trial");
    let mut child = match start(&release.program) {
        Ok(child) => child,
        Err(error) => return Verdict::Failed(format!("it does not start: {error}")),
    };
    let verdict = watch(state, &mut child, stop).await;
    end(&mut child).await;
    tracing::info!(version = release.statement.version, ?verdict, "trial is over");
    verdict
}

/// Starts the new one, by way of the old one: it must not outlive its trial, whatever it is.
fn start(program: &Path) -> Result<Child, Error> {
    Command::new("/proc/self/exe")
        .arg("on-trial")
        .arg(std::process::id().to_string())
        .arg(program)
        .args(boot::own_arguments())
        .env(ON_TRIAL, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .at(program)
}

async fn watch(state: &State, child: &mut Child, stop: &CancellationToken) -> Verdict {
    let mut words = child.stdout.take().map(|it| BufReader::new(it).lines());
    tokio::select! {
        () = stop.cancelled() => return Verdict::Stopped,
        ended = child.wait() => return ended_with(ended),
        () = welcome(&mut words) => {}
        () = unwelcome(state) => {
            let answered = hasten(WELCOME_WITHIN).as_secs_f32();
            return Verdict::Failed(format!("no engine welcomed it, though one answered for {answered} s"));
        }
    }
    tokio::select! {
        () = stop.cancelled() => Verdict::Stopped,
        ended = child.wait() => ended_with(ended),
        () = sleep(hasten(STABLE_FOR)) => Verdict::Kept,
    }
}

fn ended_with(ended: std::io::Result<ExitStatus>) -> Verdict {
    let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
    Verdict::Failed(format!("it ended: {how}"))
}

/// Resolves when the new one says that an engine has welcomed it.
async fn welcome(words: &mut Option<Lines<BufReader<ChildStdout>>>) {
    if let Some(words) = words {
        while let Ok(Some(line)) = words.next_line().await {
            if line == WELCOMED {
                return;
            }
        }
    }
    // It will not say it any more; its end is noticed elsewhere.
    std::future::pending::<()>().await;
}

/// Resolves when an engine has answered for so long that it could have welcomed the new one: while none does, the old one would
/// not fare better.
async fn unwelcome(state: &State) {
    let mut answered = Duration::ZERO;
    while answered < hasten(WELCOME_WITHIN) {
        sleep(hasten(PROBE_EVERY)).await;
        if answers(state).await {
            answered += hasten(PROBE_EVERY);
        }
    }
}

/// Whether an engine takes a connection of this machine.
async fn answers(state: &State) -> bool {
    let Ok(Some(identity)) = Identity::load(state) else { return false };
    for engine in dial::addresses(&identity.engine) {
        if let Ok(tls) = dial::mutual_tls(&identity)
            && dial::dial(engine, tls).await.is_ok()
        {
            return true;
        }
    }
    false
}

/// Ends the new one, so that its place is free.
async fn end(child: &mut Child) {
    let pid = child.id().and_then(|it| i32::try_from(it).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It has not been waited for, so the number is still its own.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        if timeout(hasten(END_WITHIN), child.wait()).await.is_err()
            && let Err(error) = child.kill().await
        {
            tracing::error!(%error, "a release on trial does not end");
        }
    }
}

/// The longest wait between two tries to get a session: an agent on trial is one of a few, and is not to fail for having been patient
/// with an engine that was away.
pub fn longest_wait() -> Duration {
    if is_on_trial() { hasten(PROBE_EVERY) } else { Duration::MAX }
}

/// For tests: trials are so many times faster.
fn hasten(length: Duration) -> Duration {
    let haste = std::env::var("REBAR_AGENT_TRIAL_HASTE").ok().and_then(|it| it.parse::<u32>().ok());
    length / haste.unwrap_or(1).max(1)
}
