//! The process that runs an attempt, and then another if the agent has one for it. It is not the agent's child in any way that matters:
//! it has its own session, writes what happens to the attempt's directory, and goes on to the attempt's end when the agent is restarted
//! or replaced.

use std::{
    io::{self, BufRead, Write},
    os::unix::net::UnixDatagram,
};

use rebar_proto::v1::{AttemptResult, Dispatch, Failed, FailureKind, Phase, attempt_result};
use rustix::process::{Resource, Rlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    disk::{
        budget::Budget,
        content, durable,
        journal::{self, Entry},
        layout::{AttemptDir, State},
        status::{self, Status},
    },
    error::{Context, Error, is_full_disk},
    supervise::{log::Log, phases::Ended},
    user,
};

pub mod control;
pub mod environment;
mod hunk;
pub mod leftovers;
mod log;
mod outputs;
mod phases;
mod process;
mod target;
mod template;

/// Files that a role may have open.
const OPEN_FILES: u64 = 65_536;
/// More reboots than this are not a plan.
const MAX_REBOOTS: u32 = 10;

/// Runs the attempts whose numbers come on standard input, a line each, and says after each with a byte that there may be another. Ends
/// when there will be none: the agent has no use for it any more, or is gone. The logs of all attempts may take so many bytes together.
pub fn run(state: &State, spools: u64) -> Result<(), Error> {
    // A terminal or a service that ends must not take the attempt with it. It fails only for the leader of a group.
    let _ = rustix::process::setsid();
    prepare_process();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().at("/proc/self")?;
    for line in io::stdin().lock().lines() {
        let line = line.at("/proc/self/fd/0")?;
        let attempt = line.parse().map_err(|_| Error::Setup(format!("{line:?} is not the number of an attempt")))?;
        let after = runtime.block_on(attempt_in(&state.attempt(attempt), spools))?;
        // What does not die would be taken for the next attempt's.
        if after == After::NoOther || leftovers::are_left() || say_that_it_waits().is_err() {
            break;
        }
    }
    Ok(())
}

fn say_that_it_waits() -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(b".")?;
    out.flush()
}

/// Whether a supervisor can have another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Another,
    NoOther,
}

/// Runs the attempt in this directory to its end, or to its reboot.
async fn attempt_in(dir: &AttemptDir, spools: u64) -> Result<After, Error> {
    let _lock = status::lock(dir)?;
    let Some((dispatch, entry)) = journal::read(dir)? else {
        return Err(Error::Broken { path: dir.dispatch(), reason: "there is no order".to_owned() });
    };
    match begin(dir, &entry, &dispatch.user)? {
        Some(status) => attempt(dir, &dispatch, status, &Budget::of(dir, spools)).await,
        None => Ok(After::NoOther),
    }
}

/// Marks the attempt as begun. Nothing, when it may not be run: it has ended, or was begun by a supervisor that is gone.
fn begin(dir: &AttemptDir, entry: &Entry, user: &str) -> Result<Option<Status>, Error> {
    if journal::read_result(dir)?.is_some() {
        return Ok(None);
    }
    let pid = std::process::id();
    let fresh = Status {
        boot_id: clock::boot_id(),
        pid,
        pid_started: clock::process_start(pid).unwrap_or(0),
        ..Status::default()
    };
    match status::read(dir)? {
        None if entry.boot_id == fresh.boot_id => {
            status::write(dir, &fresh)?;
            Ok(Some(fresh))
        }
        Some(before) if before.boot_id != fresh.boot_id && before.resume.is_some() => {
            let phase = before.resume.unwrap_or(before.phase);
            let status = Status { phase, converged: before.converged, reboots: before.reboots, ..fresh };
            // Durable, so that a power cut from here on does not bring the machine back to the same point.
            status::write_durably(dir, &status)?;
            restore_inputs(dir, user)?;
            Ok(Some(status))
        }
        _ => Ok(None),
    }
}

/// What the machine's memory held goes with a reboot.
fn restore_inputs(dir: &AttemptDir, user: &str) -> Result<(), Error> {
    let kept = dir.inputs_over_reboot();
    let Some(bytes) = durable::read(&kept)? else { return Ok(()) };
    dir.write_inputs(&bytes)?;
    if !user.is_empty() {
        content::give_file(&dir.inputs(), &user::find(user)?)?;
    }
    std::fs::remove_file(&kept).at(kept)
}

/// Limits and habits that the role's processes inherit.
fn prepare_process() {
    // Orphans of the role come to this process, which ends them with their phase.
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        tracing::warn!(%error, "orphans will not be seen");
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let wanted = Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) };
    if rustix::process::setrlimit(Resource::Nofile, wanted).is_err() {
        let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
        let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

async fn attempt(dir: &AttemptDir, dispatch: &Dispatch, status: Status, budget: &Budget) -> Result<After, Error> {
    let knock = Knock::new(dir);
    let cancelled = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).at("/proc/self")?;
    let cancel = cancelled.clone();
    let listener = tokio::spawn(async move {
        terminate.recv().await;
        cancel.cancel();
    });
    let mut log = Log::open(dir, budget.clone(), knock.clone())?;
    let ended = phases::run(dir, dispatch, status, &mut log, &cancelled).await;
    listener.abort();
    let outcome = match ended {
        Ok(Ended::Succeeded(succeeded)) => attempt_result::Outcome::Succeeded(succeeded),
        Ok(Ended::Failed(failed)) => attempt_result::Outcome::Failed(failed),
        Ok(Ended::Reboot) => {
            knock.knock();
            return Ok(After::NoOther);
        }
        Err(error) => attempt_result::Outcome::Failed(setup_failure(dir, &error)),
    };
    // Its copy of the content has served; and it may be what fills the disk.
    if let Err(error) = durable::remove_tree(&dir.work()) {
        tracing::warn!(attempt = dir.attempt(), %error, "content stays until the attempt is forgotten");
    }
    let result = AttemptResult {
        attempt: dir.attempt(),
        finished_at: Some(clock::timestamp(clock::now_ms())),
        outcome: Some(outcome),
        log_bytes: log.end(),
    };
    if let Err(error) = log.sync() {
        // A log that may be lost is no reason to lose the result.
        tracing::warn!(%error, "log may not survive a power cut");
    }
    keep(dir, &result, budget)?;
    knock.knock();
    dir.remove_inputs()?;
    Ok(After::Another)
}

/// Makes the result durable. Logs give way to it: it can be made up for by nothing.
fn keep(dir: &AttemptDir, result: &AttemptResult, budget: &Budget) -> Result<(), Error> {
    match journal::write_result(dir, result) {
        Err(error) if is_full_disk(&error) => {
            budget.make_room(&dir.log());
            journal::write_result(dir, result)
        }
        written => written,
    }
}

fn setup_failure(dir: &AttemptDir, error: &Error) -> Failed {
    Failed {
        phase: journal::current_phase(dir).unwrap_or(Phase::Unspecified).into(),
        kind: FailureKind::Setup.into(),
        exit_code: None,
        message: error.to_string(),
        retry_after: None,
    }
}

/// Tells the agent that there is something to see. Nothing is lost when it does not hear: it looks by itself when it comes.
#[derive(Debug, Clone)]
pub(crate) struct Knock {
    socket: Option<std::rc::Rc<UnixDatagram>>,
    path: std::path::PathBuf,
    name: [u8; 8],
}

impl Knock {
    fn new(dir: &AttemptDir) -> Self {
        let socket = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            Ok(std::rc::Rc::new(socket))
        });
        Self { socket: socket.ok(), path: crate::knock::address(dir.state().root()), name: dir.attempt().to_le_bytes() }
    }

    pub(crate) fn knock(&self) {
        if let Some(socket) = &self.socket {
            let _ = socket.send_to(&self.name, &self.path);
        }
    }
}
