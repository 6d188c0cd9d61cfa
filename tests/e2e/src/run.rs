//! Running programs to their end, with what they said.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A program that ended.
#[derive(Debug)]
pub struct Done {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// Its data.
    pub out: String,
    /// Its talk.
    pub err: String,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap_or_else(|error| panic!("no root: {error}"))
}

/// A program of the product, built beside this test.
pub fn bin(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_else(|error| panic!("no test program: {error}"));
    let built = test.ancestors().map(|it| it.join(name)).find(|it| it.is_file());
    built.unwrap_or_else(|| panic!("{name} is not built: run `cargo build --workspace --bins` first"))
}

/// Sends a signal to a process that was started here.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let sent = pid.map(|it| kill_process(it, signal));
    assert!(matches!(sent, Some(Ok(()))), "{} cannot be signalled: {sent:?}", child.id());
}

impl Done {
    /// Runs a program to its end.
    pub fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } =
            command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
    }

    /// Itself, if it ended well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Its data as JSON, if it ended well.
    #[track_caller]
    pub fn json(self) -> Value {
        let done = self.ok();
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("not JSON, {error}:\n{}", done.out))
    }
}
