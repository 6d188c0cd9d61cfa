//! How a phase's process is started: which program reads the role's file, as whom, and what it finds around itself. Nothing of the
//! agent's own environment leaks in.

use std::{
    fs::{self, File},
    io::{PipeWriter, Read},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Component, Path, PathBuf},
    process::Stdio,
};

use rebar_proto::v1::{Dispatch, Phase, PhaseWork};
use tokio::process::Command;

use crate::{
    disk::layout::AttemptDir,
    error::{Context, Error},
    helper, user,
};

const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The mark by which the processes of an attempt are known, whoever their parent is.
pub fn mark(dir: &AttemptDir) -> String {
    format!("REBAR_CONTROL={}", dir.control().display())
}

/// The command of a phase.
pub(crate) fn command(
    dir: &AttemptDir,
    dispatch: &Dispatch,
    work: &PhaseWork,
    output: PipeWriter,
) -> Result<Command, Error> {
    let file = role_file(dir, &work.run)?;
    let mut words = interpreter(&file, &dispatch.shell)?;
    words.push(file.to_string_lossy().into_owned());
    let home = if dispatch.user.is_empty() { user::current().home } else { user::find(&dispatch.user)?.home };
    if !dispatch.user.is_empty() {
        let agent = helper::program()?;
        let own = [agent.to_string_lossy().into_owned(), "run-as".to_owned(), dispatch.user.clone(), "--".to_owned()];
        words.splice(0..0, own);
    }
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(dir.work()).process_group(0).kill_on_drop(true);
    command.env_clear();
    command.envs(&work.env);
    let bin = helper::directory(&dir.state())?;
    command.env("PATH", format!("{}:{SYSTEM_PATH}", bin.display())).env("HOME", home).env("LANG", "C.UTF-8");
    command.env("REBAR_INPUTS", dir.inputs()).env("REBAR_OUTPUTS", dir.outputs()).env("REBAR_CONTROL", dir.control());
    command.env("REBAR_DIFF", dir.diff()).env("REBAR_BIN", bin);
    command.env("REBAR_PHASE", phase_name(work.phase())).env("REBAR_ATTEMPT", dir.attempt().to_string());
    let second = output.try_clone().at(dir.root())?;
    command.stdin(Stdio::null()).stdout(output).stderr(second);
    Ok(command)
}

/// The word for a phase.
pub(crate) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Unspecified => "unknown",
        Phase::Check => "check",
        Phase::Drain => "drain",
        Phase::Apply => "apply",
        Phase::Verify => "verify",
        Phase::Undo => "undo",
    }
}

/// The file of the role that a phase runs. It lies in the role's directory and nowhere else.
fn role_file(dir: &AttemptDir, run: &str) -> Result<PathBuf, Error> {
    let inside = Path::new(run).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if run.is_empty() || !inside {
        return Err(Error::Setup(format!("{run:?} is not a file in the role's directory")));
    }
    let path = dir.work().join(run);
    if !path.is_file() {
        return Err(Error::Setup(format!("there is no file {run:?} in the role's directory")));
    }
    Ok(path)
}

/// The program that reads the file, with its arguments: what the role says, else the `#!` line, else the shell. The line is read
/// here, so that a file without the execute bit works as well. Empty for a program of its own right.
fn interpreter(file: &Path, shell: &str) -> Result<Vec<String>, Error> {
    if !shell.trim().is_empty() {
        return Ok(shell.split_whitespace().map(str::to_owned).collect());
    }
    let mut start = [0; 256];
    let length = File::open(file).and_then(|mut file| file.read(&mut start)).at(file)?;
    let start = &start[..length];
    if start.starts_with(b"\x7fELF") {
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).at(file)?;
        return Ok(Vec::new());
    }
    let Some(line) = start.strip_prefix(b"#!") else { return Ok(vec!["/bin/sh".to_owned()]) };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line.trim_ascii()).into_owned();
    // As the kernel does: the program, and all the rest as one argument.
    let words: Vec<String> = match line.split_once(char::is_whitespace) {
        Some((program, argument)) => vec![program.to_owned(), argument.trim().to_owned()],
        None => vec![line],
    };
    let name = file.file_name().map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned()).unwrap_or_default();
    if words[0].is_empty() || !Path::new(&words[0]).exists() {
        return Err(Error::Setup(format!("{name}: there is no interpreter {:?} on this machine", words[0])));
    }
    Ok(words)
}
