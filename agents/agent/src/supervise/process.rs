//! One process of a phase from its start to the end of its last descendant: its words into the log, its time limited. What its exit
//! code means is decided in `phases.rs`.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use rebar_proto::{
    MAX_CHUNK,
    v1::{Dispatch, PhaseWork},
};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::Receiver,
    process::Child,
    time::{Instant, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    disk::layout::AttemptDir,
    error::{Context, Error},
    supervise::{environment, leftovers, log::Log},
};

/// Between the polite and the final signal.
const GRACE: Duration = Duration::from_secs(5);
/// How often the role's wishes are looked at while it runs.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// For words that are still in the pipe when everybody who wrote them is gone.
const DRAIN: Duration = Duration::from_secs(1);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    Exit(i32),
    /// By a signal that is not ours.
    Signal(i32),
    /// It ran out of time.
    Timeout,
    /// It was cancelled.
    Cancelled,
}

/// What ends a process from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds<'a> {
    pub(crate) until: Instant,
    pub(crate) cancelled: &'a CancellationToken,
}

/// Runs one process of a phase. `look` is called now and then while it runs.
pub(crate) async fn run(
    dir: &AttemptDir,
    (dispatch, work): (&Dispatch, &PhaseWork),
    log: &mut Log,
    bounds: Bounds<'_>,
    mut look: impl FnMut(&mut Log),
) -> Result<Ended, Error> {
    let (reader, writer) = std::io::pipe().at(dir.root())?;
    let mut words = Receiver::from_owned_fd(reader.into()).at(dir.root())?;
    let mut child = {
        // The command owns our end of the pipe for writing: it must be gone for the role's end to be seen.
        let mut command = environment::command(dir, dispatch, work, writer)?;
        command.spawn().map_err(|error| Error::Setup(format!("{}: {error}", work.run)))?
    };
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let mut buffer = vec![0; MAX_CHUNK];
    let mut ticks = interval(LOOK_EVERY);
    let mut open = true;
    let mut forced = None;
    let mut kill_at = bounds.until;
    let status = loop {
        tokio::select! {
            read = words.read(&mut buffer), if open => match read.at(dir.root())? {
                0 => open = false,
                length => log.write(work.phase(), &buffer[..length])?,
            },
            status = child.wait() => break status.at(dir.root())?,
            () = bounds.cancelled.cancelled(), if forced.is_none() => {
                kill_at = stop(group, &mut forced, Ended::Cancelled);
            }
            () = sleep_until(kill_at) => if forced.is_some() {
                kill_hard(&mut child, group);
                kill_at = Instant::now() + GRACE;
            } else {
                kill_at = stop(group, &mut forced, Ended::Timeout);
            },
            _ = ticks.tick() => look(log),
        }
    };
    leftovers::end(group).await;
    let drain = async {
        while open {
            match words.read(&mut buffer).await.at(dir.root())? {
                0 => open = false,
                length => log.write(work.phase(), &buffer[..length])?,
            }
        }
        Ok(())
    };
    // Somebody outside may hold the pipe, to whom the role gave it.
    timeout(DRAIN, drain).await.unwrap_or(Ok(()))?;
    log.flush(work.phase())?;
    look(log);
    Ok(forced.unwrap_or_else(|| by_itself(status)))
}

/// Asks the whole group to end, and says when to stop asking.
fn stop(group: Option<Pid>, forced: &mut Option<Ended>, why: Ended) -> Instant {
    *forced = Some(why);
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::TERM);
    }
    Instant::now() + GRACE
}

fn kill_hard(child: &mut Child, group: Option<Pid>) {
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.start_kill();
}

fn by_itself(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exit(code),
        (None, signal) => Ended::Signal(signal.unwrap_or(0)),
    }
}
