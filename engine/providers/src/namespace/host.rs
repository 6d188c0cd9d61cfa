//! What light nodes need of the machine: rights, programs, one root file system. And running those programs, with what they said when
//! they fail.

use std::{
    io::Write,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
};

use rebar_ports::ProviderError;
use rustix::thread::{CapabilitySet, capabilities};

use super::NamespaceConfig;

/// What making namespaces, mounts and devices asks for.
const RIGHTS: [(CapabilitySet, &str); 5] = [
    (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN"),
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
    (CapabilitySet::SYS_CHROOT, "CAP_SYS_CHROOT"),
    (CapabilitySet::DAC_OVERRIDE, "CAP_DAC_OVERRIDE"),
    (CapabilitySet::KILL, "CAP_KILL"),
];
/// The programs, and the packages of Debian that have them.
const PROGRAMS: [(&str, &str); 8] = [
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("pivot_root", "mount"),
    ("mount", "mount"),
    ("hostname", "hostname"),
    ("runsvdir", "runit"),
];
/// What of the machine's root nodes share; a file system of its own would be empty on them.
const SHARED: [&str; 3] = ["/etc", "/usr", "/var"];
/// Where programs are, also for an engine that was started with less.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The provider cannot be used.
pub(super) fn unavailable(detail: impl ToString) -> ProviderError {
    ProviderError::Unavailable { provider: "namespace", detail: detail.to_string() }
}

/// Whether nodes could be made here; the error says what is missing and what to do.
pub(super) fn check(config: &NamespaceConfig) -> Result<(), ProviderError> {
    let held = capabilities(None).map_err(unavailable)?.effective;
    let missing: Vec<_> = RIGHTS.iter().filter(|(right, _)| !held.contains(*right)).map(|(_, name)| *name).collect();
    if !missing.is_empty() {
        return Err(unavailable(format!(
            "the engine may not make namespaces and mounts, as it lacks {}; run it as root with these rights",
            missing.join(", ")
        )));
    }
    for (program, package) in PROGRAMS {
        if find(program).is_none() {
            return Err(unavailable(format!("there is no `{program}` here; `apt-get install {package}` installs it")));
        }
    }
    one_root()?;
    super::files::check_agent(&config.agent_binary)
}

/// Nodes see the machine's root file system and nothing that is mounted in it.
fn one_root() -> Result<(), ProviderError> {
    let device = |path: &str| std::fs::metadata(path).map(|it| it.dev()).ok();
    match SHARED.iter().find(|it| device(it) != device("/")) {
        None => Ok(()),
        Some(path) => Err(unavailable(format!(
            "{path} is a file system of its own on this machine, and light nodes share its root file system alone"
        ))),
    }
}

/// Where a program is.
pub(super) fn find(program: &str) -> Option<std::path::PathBuf> {
    PATH.split(':').map(|it| Path::new(it).join(program)).find(|it| it.is_file())
}

/// A program with the usual path, and nothing to read.
pub(super) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", PATH).stdin(Stdio::null());
    command
}

/// Runs a program to its end.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = command(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("`{program} {}`: {} ({})", arguments.join(" "), said.trim(), output.status))
}

/// Runs a program to its end, with something to read.
pub(super) fn feed(program: &str, arguments: &[&str], input: &str) -> Result<(), String> {
    let trouble = |error: std::io::Error| format!("{program}: {error}");
    let mut command = command(program);
    let child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(trouble)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(trouble)?;
    }
    let output = child.wait_with_output().map_err(trouble)?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("`{program}`: {} ({})", said.trim(), output.status)) }
}
