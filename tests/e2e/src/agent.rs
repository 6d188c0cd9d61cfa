//! An agent as a process, on this host's network or on a machine's own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;

use crate::{bin, network::inside, run};

/// An agent as a process.
pub struct AgentProcess {
    child: Child,
    /// The network namespace of its machine; none for that of this host.
    namespace: Option<PathBuf>,
    /// What it may keep of logs, in MiB, where that is not the usual.
    spool_mib: Option<u32>,
    /// Its state directory.
    pub state: PathBuf,
}

impl AgentProcess {
    /// Starts the agent of a state directory.
    pub(crate) fn start(state: &Path, namespace: Option<PathBuf>, spool_mib: Option<u32>) -> Self {
        let log = File::options().create(true).append(true).open(state.with_extension("log"));
        let mut command = command(namespace.as_deref());
        if let Some(spool) = spool_mib {
            command.env("REBAR_AGENT_SPOOL_MIB", spool.to_string());
        }
        let child = command
            .arg("run")
            .arg("--state")
            .arg(state)
            .args(["--enrol", "/nonexistent"])
            .env("REBAR_AGENT_TRIAL_HASTE", "10")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap_or_else(|error| panic!("no log: {error}")))
            .spawn()
            .unwrap_or_else(|error| panic!("the agent cannot be started: {error}"));
        Self { child, namespace, spool_mib, state: state.to_owned() }
    }

    /// Kills the agent as a power cut would; what it runs goes on.
    pub fn kill(&mut self) {
        // It may have ended by itself; the wait says so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again after it was killed.
    pub fn restart(&mut self) {
        self.kill();
        *self = Self::start(&self.state, self.namespace.clone(), self.spool_mib);
    }

    /// Freezes it, as a machine does that is paused.
    pub fn freeze(&self) {
        run::signal(&self.child, Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        run::signal(&self.child, Signal::CONT);
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The agent's program, where its machine is.
pub(crate) fn command(namespace: Option<&Path>) -> Command {
    match namespace {
        Some(namespace) => inside(namespace, bin("rebar-agent")),
        None => Command::new(bin("rebar-agent")),
    }
}
