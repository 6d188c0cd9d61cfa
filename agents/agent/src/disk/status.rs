//! How far an attempt is: what its supervisor writes for the agent, and for whoever comes after a reboot.

use std::{
    fs::{File, TryLockError},
    io::ErrorKind,
};

use serde::{Deserialize, Serialize};

use crate::{
    disk::{durable, layout::AttemptDir},
    error::{Context, Error},
};

/// How far an attempt is. There is none before its supervisor has begun.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The boot that this was written in.
    pub boot_id: String,
    /// The supervisor.
    pub pid: u32,
    /// When the supervisor started, in the kernel's clock ticks: tells it from a later process with the same number.
    pub pid_started: u64,
    /// Which of the phases runs.
    pub phase: usize,
    /// The check said that it was so already.
    pub converged: bool,
    /// The machine is to be rebooted; after that, go on with this phase.
    pub resume: Option<usize>,
    /// Reboots so far.
    pub reboots: u32,
    /// What the role said last.
    pub progress: Option<Progress>,
}

/// How far a role says that it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// From 0 to 100.
    pub percent: u32,
    /// For people.
    pub text: String,
}

/// What is known about the supervisor of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervisor {
    /// It lives.
    Alive,
    /// There is none.
    Gone,
}

/// Reads the status, if there is one.
pub fn read(dir: &AttemptDir) -> Result<Option<Status>, Error> {
    let path = dir.status();
    let Some(bytes) = durable::read(&path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::Broken { path, reason: error.to_string() })
}

/// Writes the status for a reader in this boot.
pub fn write(dir: &AttemptDir, status: &Status) -> Result<(), Error> {
    durable::replace(&dir.status(), &serde_json::to_vec(status).unwrap_or_default())
}

/// Writes the status for a reader in the next boot.
pub fn write_durably(dir: &AttemptDir, status: &Status) -> Result<(), Error> {
    durable::write(&dir.status(), &serde_json::to_vec(status).unwrap_or_default())
}

/// The supervisor's own lock, on the order; waits while another has it.
pub fn lock(dir: &AttemptDir) -> Result<File, Error> {
    let path = dir.dispatch();
    let file = File::open(&path).at(&path)?;
    file.lock().at(&path)?;
    Ok(file)
}

/// Whether a supervisor lives. A lock says so more surely than a process number.
pub fn supervisor(dir: &AttemptDir) -> Result<Supervisor, Error> {
    let path = dir.dispatch();
    let order = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Supervisor::Gone),
        order => order.at(&path)?,
    };
    match order.try_lock_shared() {
        Ok(()) => Ok(Supervisor::Gone),
        Err(TryLockError::WouldBlock) => Ok(Supervisor::Alive),
        Err(TryLockError::Error(error)) => Err(error).at(path),
    }
}
