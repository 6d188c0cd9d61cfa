//! Real agents: the program that ships, a process each, on this machine, with a state directory of its own. They enrol as any agent
//! does, and run what they are sent.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use rebar_model::NodeName;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::host::Ready;

/// Agents that run; they are ended when this is dropped.
pub struct Agents {
    processes: Vec<Child>,
    _directory: TempDir,
}

impl Agents {
    /// Enrols and starts an agent for each node.
    pub async fn start(ready: &Ready) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("rebar-bench-agents-").tempdir()?;
        keep_apart(directory.path()).await?;
        let mut processes = Vec::with_capacity(ready.certificates.len());
        for node in ready.certificates.keys() {
            let state = directory.path().join(node.as_str());
            enrol(ready, node, &state).await?;
            let mut agent = Command::new(program()?);
            agent.args(["run", "--enrol", "/nonexistent", "--state"]).arg(&state).env("REBAR_LOG", "error");
            processes.push(agent.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn()?);
        }
        Ok(Self { processes, _directory: directory })
    }

    /// The numbers of their processes.
    pub fn processes(&self) -> impl Iterator<Item = u32> + '_ {
        self.processes.iter().filter_map(Child::id)
    }
}

/// Has ext4 put what is made in this directory far from each other, each in a group of its own, as it is on machines of their own:
/// new files are not looked for among those that other agents have just removed. Other file systems do not know this.
async fn keep_apart(directory: &Path) -> Result<()> {
    Command::new("chattr").arg("+T").arg(directory).stderr(Stdio::null()).status().await?;
    Ok(())
}

async fn enrol(ready: &Ready, node: &NodeName, state: &Path) -> Result<()> {
    let mut enrol = Command::new(program()?);
    enrol.args(["enrol", "--engine", &ready.address.to_string(), "--token", node.as_str()]);
    enrol.args(["--ca-fingerprint", &ready.ca_fingerprint, "--state"]).arg(state);
    let output = enrol.env("REBAR_LOG", "error").output().await?;
    ensure!(output.status.success(), "{node} cannot enrol: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The program that ships, built beside this one.
pub fn program() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("rebar-agent");
    ensure!(path.is_file(), "{} is not built", path.display());
    path.canonicalize().context("rebar-agent")
}
