//! Making this program a service of the machine: for machines that joined, since others come with it.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::{
    disk::{durable, layout::State},
    error::{Context, Error},
    release::shelf,
};

const PROGRAM: &str = "/usr/local/bin/rebar-agent";
const UNIT: &str = "/etc/systemd/system/rebar-agent.service";

/// Installs the unit, and starts it or starts it anew.
pub fn install(state: &Path) -> Result<(), Error> {
    let own = std::env::current_exe().at("/proc/self/exe")?;
    if own != Path::new(PROGRAM) {
        // A running program cannot be written to, but it can be replaced.
        let fresh = Path::new(PROGRAM).with_extension("new");
        fs::create_dir_all("/usr/local/bin").at("/usr/local/bin")?;
        fs::copy(&own, &fresh).at(&fresh)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).at(&fresh)?;
        fs::rename(&fresh, PROGRAM).at(PROGRAM)?;
    }
    // What was installed by hand is what this machine is, whatever it became before.
    shelf::become_installed(&State::open(state)?)?;
    durable::write(Path::new(UNIT), unit(state).as_bytes())?;
    fs::set_permissions(UNIT, fs::Permissions::from_mode(0o644)).at(UNIT)?;
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", "rebar-agent.service"])?;
    systemctl(&["restart", "rebar-agent.service"])
}

/// The unit. `KillMode=process`: attempts outlive a restart of the agent.
fn unit(state: &Path) -> String {
    format!(
        "[Unit]\n\
         Description=Rebar agent\n\
         Documentation=https://rebar.dev\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         ExecStart={PROGRAM} run --state {}\n\
         Restart=always\n\
         RestartSec=2\n\
         KillMode=process\n\
         OOMPolicy=continue\n\
         TasksMax=infinity\n\
         LimitNOFILE=65536\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        state.display()
    )
}

fn systemctl(arguments: &[&str]) -> Result<(), Error> {
    let status = Command::new("systemctl").args(arguments).status().at("systemctl")?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Setup(format!("systemctl {}: {status}", arguments.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_outlive_the_unit() {
        let unit = unit(Path::new("/var/lib/rebar-agent"));
        assert!(unit.contains("ExecStart=/usr/local/bin/rebar-agent run --state /var/lib/rebar-agent\n"));
        assert!(unit.contains("KillMode=process\n"));
    }
}
