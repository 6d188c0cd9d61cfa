//! An attempt as the agent watches it: its directory, who runs it, how far its log has been read.

use std::time::{Duration, Instant};

use rebar_link::Local;
use rebar_proto::v1::{LogChunk, Progress};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    disk::{
        journal,
        layout::AttemptDir,
        spool::Reader,
        status::{self, Status},
    },
};

/// A supervisor that has been told to end its attempt needs its own grace and a little more.
const KILL_PATIENCE: Duration = Duration::from_secs(20);

/// An attempt has ended, and its log is being said for this long: from here on its result does not wait for it.
const RESULT_PATIENCE: Duration = Duration::from_secs(3);

/// Who runs an attempt.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Nobody yet.
    Preparing(CancellationToken),
    /// A supervisor that is this process's child: its end will be noticed.
    Supervised,
    /// A supervisor that has to be looked after.
    Adopted,
    /// Nobody until the machine has rebooted.
    AwaitsReboot,
    /// Nobody any more.
    Ended,
}

impl Stage {
    /// Something may still happen to the attempt without a word.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Supervised | Self::Adopted | Self::AwaitsReboot)
    }

    /// Somebody works, or is about to.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Preparing(_) | Self::Supervised | Self::Adopted)
    }
}

/// How far the wish to end an attempt is.
#[derive(Debug, Clone, Copy)]
enum Kill {
    No,
    Wanted,
    Asked(Instant),
}

/// An attempt that the agent watches.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) dir: AttemptDir,
    pub(crate) stage: Stage,
    pub(crate) reader: Option<Reader>,
    /// Since when the end of the log is waited for, and whether that was found too long in this session.
    ending: Option<(Instant, bool)>,
    progress: Option<status::Progress>,
    kill: Kill,
}

impl Attempt {
    pub(crate) fn new(dir: AttemptDir, stage: Stage) -> Self {
        Self { dir, stage, reader: None, ending: None, progress: None, kill: Kill::No }
    }

    /// Reads the log from here, in this session.
    pub(crate) fn read_from(&mut self, offset: u64) {
        self.reader = Some(Reader::new(&self.dir.log(), offset));
        self.ending = None;
    }

    /// Whether the result should wait no longer for the end of the log; true once a session.
    pub(crate) fn is_late(&mut self) -> bool {
        if self.reader.is_none() || !matches!(self.stage, Stage::Ended) {
            return false;
        }
        let (since, was_late) = self.ending.get_or_insert_with(|| (Instant::now(), false));
        !*was_late && since.elapsed() >= RESULT_PATIENCE && !std::mem::replace(was_late, true)
    }

    /// What the log has to say: a piece of at most so many bytes, or that there will be none.
    pub(crate) fn next_log(&mut self, most: usize) -> Option<Local> {
        let attempt = self.dir.attempt();
        match self.reader.as_mut()?.next(most) {
            Ok(Some(record)) => Some(Local::Log(LogChunk {
                attempt,
                offset: record.offset,
                phase: record.phase,
                at: Some(clock::timestamp(record.at_ms)),
                data: record.data,
                lost: record.lost,
            })),
            Ok(None) if !matches!(self.stage, Stage::Ended) => None,
            Ok(None) => Some(self.drained()),
            Err(error) => {
                tracing::error!(attempt, %error, "log unreadable");
                Some(self.drained())
            }
        }
    }

    fn drained(&mut self) -> Local {
        self.reader = None;
        Local::LogDrained { attempt: self.dir.attempt() }
    }

    /// The role's word on how far it is, when it is new.
    pub(crate) fn new_progress(&mut self) -> Option<Progress> {
        let Status { progress, .. } = status::read(&self.dir).ok()??;
        if progress.is_none() || progress == self.progress {
            return None;
        }
        self.progress.clone_from(&progress);
        let status::Progress { percent, text } = progress?;
        let phase = journal::current_phase(&self.dir)?.into();
        Some(Progress { attempt: self.dir.attempt(), phase, percent, text })
    }

    /// Asks the supervisor to end the attempt.
    pub(crate) fn kill(&mut self) {
        if matches!(self.kill, Kill::No) {
            self.kill = Kill::Wanted;
            self.press_kill();
        }
    }

    /// Whether somebody wanted the attempt to end.
    pub(crate) fn is_killed(&self) -> bool {
        !matches!(self.kill, Kill::No)
    }

    /// Sees to it that a wanted end comes: a supervisor that has only just been started cannot be signalled yet, and one that
    /// does not end its attempt is ended itself.
    pub(crate) fn press_kill(&mut self) {
        match self.kill {
            Kill::No => {}
            Kill::Wanted => {
                if self.signal(Signal::TERM) {
                    self.kill = Kill::Asked(Instant::now());
                }
            }
            Kill::Asked(at) => {
                if at.elapsed() > KILL_PATIENCE {
                    self.signal(Signal::KILL);
                }
            }
        }
    }

    /// A signal to the supervisor and to nobody who came to have its number. Whether there was one.
    fn signal(&self, signal: Signal) -> bool {
        let Ok(Some(status)) = status::read(&self.dir) else { return false };
        let pid = i32::try_from(status.pid).ok().and_then(Pid::from_raw);
        let Some(Ok(process)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else { return false };
        clock::process_start(status.pid) == Some(status.pid_started) && pidfd_send_signal(process, signal).is_ok()
    }
}
