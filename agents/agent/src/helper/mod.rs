//! The commands that a role finds on its path. They work on the files of the runner contract and on nothing else, so a role in any
//! language can do without them.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    disk::{
        durable,
        layout::{State, make_directory},
    },
    error::{Context, Error},
};

pub mod control;
pub mod input;
pub mod output;

/// The names by which the program is a helper command.
pub const NAMES: [&str; 3] = ["rebar-input", "rebar-output", "rebar-control"];

/// Where this program lies, also after it has been replaced by a newer one.
pub fn program() -> Result<PathBuf, Error> {
    let path = std::env::current_exe().at("/proc/self/exe")?;
    let text = path.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or(path.clone(), PathBuf::from))
}

/// The directory of the commands that are this program. Each release has its own: attempts that it began go on with it.
pub fn directory(state: &State) -> Result<PathBuf, Error> {
    let program = program()?;
    let release = program.strip_prefix(state.releases()).ok().and_then(|it| it.components().next());
    let name = release.map_or("installed".into(), |it| it.as_os_str().to_string_lossy());
    Ok(state.bin(&name))
}

/// Has the commands lead to this program.
pub fn place(state: &State) -> Result<(), Error> {
    let (program, directory) = (program()?, directory(state)?);
    make_directory(&directory, 0o755)?;
    make_directory(directory.parent().unwrap_or(&directory), 0o711)?;
    for name in NAMES {
        let (link, draft) = (directory.join(name), directory.join(format!("{name}.new")));
        if fs::read_link(&link).is_ok_and(|it| it == program) {
            continue;
        }
        durable::remove(&draft)?;
        symlink(&program, &draft).at(&draft)?;
        fs::rename(&draft, &link).at(&link)?;
    }
    Ok(())
}

/// Prints a line; a reader that has gone away is not an error.
pub fn print(text: &str) -> Result<(), Error> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).at("/dev/stdout"),
        _ => Ok(()),
    }
}

/// The file that a variable of the contract names.
fn file(variable: &str) -> Result<PathBuf, Error> {
    match std::env::var_os(variable) {
        Some(path) if !path.is_empty() => Ok(path.into()),
        _ => Err(Error::Usage(format!("${variable} is not set: this command works inside a role"))),
    }
}

/// Reads a file of the contract; a missing or empty one is an empty object.
fn read_object(path: &Path) -> Result<Map<String, Value>, Error> {
    let bytes = durable::read(path)?.unwrap_or_default();
    if bytes.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    let reason =
        |error: serde_json::Error| format!("not one JSON object (line {}, column {})", error.line(), error.column());
    serde_json::from_slice(&bytes).map_err(|error| Error::Broken { path: path.to_owned(), reason: reason(error) })
}

/// Changes a file of the contract in one step. Commands that run side by side take turns.
fn change_object(path: &Path, change: impl FnOnce(&mut Map<String, Value>)) -> Result<(), Error> {
    let _turn = take_turn(path)?;
    let mut object = read_object(path)?;
    change(&mut object);
    let temporary = path.with_extension("new");
    let bytes = Value::Object(object).to_string();
    durable::create_private(&temporary)?.write_all(bytes.as_bytes()).at(&temporary)?;
    fs::rename(&temporary, path).at(path)
}

fn take_turn(path: &Path) -> Result<File, Error> {
    let path = path.with_extension("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).at(&path)?;
    file.lock().at(&path)?;
    Ok(file)
}
