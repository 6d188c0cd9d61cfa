//! The real program in a directory of its own.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::engine::Engine;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_rebar-agent");

pub struct Agent {
    pub home: TempDir,
    process: Option<Child>,
    /// How many times faster trials of releases are.
    pub haste: u32,
}

impl Agent {
    /// A machine that is not enrolled.
    pub fn new() -> Self {
        let agent = Self { home: tempfile::tempdir().expect("directory"), process: None, haste: 10 };
        std::fs::write(agent.boot_id_file(), "boot-1").expect("boot id");
        agent
    }

    /// A machine that is enrolled with this engine, its agent running.
    pub async fn running(engine: &Engine) -> Self {
        let mut agent = Self::new();
        let output = agent.enrol(engine, "good", &engine.ca.fingerprint).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        agent.start();
        engine.connected(1).await;
        agent
    }

    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn boot_id_file(&self) -> PathBuf {
        self.file("boot-id")
    }

    pub fn attempt_dir(&self, attempt: u64) -> PathBuf {
        self.state().join("attempts").join(attempt.to_string())
    }

    pub async fn enrol(&self, engine: &Engine, token: &str, fingerprint: &str) -> Output {
        let mut command = Command::new(PROGRAM);
        command.args(["enrol", "--engine", &engine.address.to_string(), "--token", token]);
        command.args(["--ca-fingerprint", fingerprint, "--state"]).arg(self.state());
        command.output().await.expect("run")
    }

    /// The command that a test machine's service runs.
    pub fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "--state"]).arg(self.state()).arg("--enrol").arg(self.file("enrol.json"));
        let log = std::fs::File::options().append(true).create(true).open(self.file("agent.log")).expect("log");
        command.stderr(Stdio::from(log)).env("REBAR_LOG", "debug");
        command.env("REBAR_AGENT_BOOT_ID_FILE", self.boot_id_file());
        command.env("REBAR_AGENT_REBOOT_COMMAND", format!("echo now >> {}", self.file("rebooted").display()));
        command.env("REBAR_AGENT_TRIAL_HASTE", self.haste.to_string());
        command.env("AGENTS_OWN_SECRET", "must not leak").kill_on_drop(true);
        command
    }

    /// Has the machine trust release keys.
    pub async fn trust(&self, keys: &[&str]) {
        let output = Command::new(PROGRAM).arg("trust").args(keys).arg("--state").arg(self.state()).output().await;
        let output = output.expect("run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The process that was started; it may be another program by now.
    pub fn pid(&self) -> String {
        self.process.as_ref().and_then(Child::id).expect("running").to_string()
    }

    pub fn start(&mut self) {
        self.process = Some(self.command().spawn().expect("start"));
    }

    /// As a power cut or the kernel's OOM killer would.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().expect("running");
        process.kill().await.expect("killed");
    }

    /// As `systemctl stop` does.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("running");
        let pid = process.id().expect("id").to_string();
        Command::new("kill").arg(pid).status().await.expect("kill");
        assert!(process.wait().await.expect("ended").success());
    }

    pub async fn ended(&mut self) -> std::process::ExitStatus {
        self.process.take().expect("running").wait().await.expect("ended")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file("agent.log")).unwrap_or_default()
    }
}

/// Waits until this holds; it is about files and processes, which do not say when they change.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

pub fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

pub fn is_alive(pid: &str) -> bool {
    // A zombie is dead.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, fields)| !fields.trim_start().starts_with('Z'))
}
