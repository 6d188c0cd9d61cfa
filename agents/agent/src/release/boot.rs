//! What a machine is when its agent starts: the program that was installed looks which release the machine has become, and becomes
//! that. It stays itself where that release is not what was signed any more, so that a machine always has an agent.

use std::{
    ffi::OsString,
    os::unix::process::{CommandExt, parent_id},
    path::Path,
    process::Command,
};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::{
    disk::layout::State,
    error::{Context, Error},
    release::{
        is_on_trial,
        shelf::{self, Shelved},
        trust,
    },
};

/// Becomes the release that this machine is. It returns where that is this program, or where there is none that can be trusted.
pub fn boot(state: &State) {
    if is_on_trial() {
        return;
    }
    let Some(release) = Shelved::current(state) else { return };
    if std::env::current_exe().is_ok_and(|own| own == release.program) {
        return;
    }
    let error = match check(state, &release) {
        Ok(()) => exec(&release.program),
        Err(error) => error,
    };
    tracing::error!(version = release.statement.version, %error, "not the release that this machine became");
}

/// A release that lay on a disk is looked at again: it runs as root.
fn check(state: &State, release: &Shelved) -> Result<(), Error> {
    release.signed.verify(&trust::keys(state)?).map_err(Error::Setup)?;
    let found = shelf::digest(&release.program)?;
    if found == release.statement.sha256 {
        return Ok(());
    }
    Err(Error::Setup(format!("the program has the digest {found}, and {} was signed", release.statement.sha256)))
}

/// Becomes another program, with the same command line; returns only when that cannot be.
pub fn exec(program: &Path) -> Error {
    let error = Command::new(program).args(own_arguments()).exec();
    Error::File { path: program.to_owned(), source: error }
}

/// What this program was started with.
pub fn own_arguments() -> impl Iterator<Item = OsString> {
    std::env::args_os().skip(1)
}

/// Becomes a program that is tried, and that ends when who tries it does, however that ends. This is the old program still, so that
/// it holds whatever the new one is.
pub fn on_trial(parent: u32, program: &Path, arguments: &[OsString]) -> Result<(), Error> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(std::io::Error::from).at(program)?;
    if parent_id() != parent {
        return Err(Error::Cancelled);
    }
    Err(Command::new(program).args(arguments).exec()).at(program)
}
