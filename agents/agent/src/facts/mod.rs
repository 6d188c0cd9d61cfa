//! What this machine is, as the engine's model expects it: read from /proc and /sys, with nothing run and nothing guessed. What
//! cannot be read stays empty.

use std::{fs, net::IpAddr};

use serde::Serialize;

use crate::release;

mod disks;
mod network;
mod virtualization;

/// What this machine is.
#[derive(Debug, Serialize)]
struct Facts {
    hostname: String,
    os: Os,
    arch: &'static str,
    cpu: Cpu,
    memory_mb: u64,
    disks: Vec<disks::Disk>,
    nics: Vec<network::Nic>,
    addresses: network::Addresses,
    boot_id: String,
    agent_version: &'static str,
    virtualization: String,
    init: String,
}

#[derive(Debug, Default, Serialize)]
struct Os {
    id: String,
    version: String,
    name: String,
    kernel: String,
}

#[derive(Debug, Serialize)]
struct Cpu {
    count: usize,
    model: String,
}

/// The facts as one JSON object. `towards_engine`: this machine's address on the way to the engine.
pub fn collect(boot_id: &str, towards_engine: Option<IpAddr>) -> String {
    let facts = Facts {
        hostname: line("/proc/sys/kernel/hostname"),
        os: os(),
        arch: arch(),
        cpu: cpu(),
        memory_mb: memory_mb(),
        disks: disks::collect(),
        nics: network::nics(),
        addresses: network::addresses(towards_engine),
        boot_id: boot_id.to_owned(),
        agent_version: release::version(),
        virtualization: virtualization::detect(),
        // The name of process 1: systemd, init, or that of a container's one program.
        init: line("/proc/1/comm"),
    };
    serde_json::to_string(&facts).unwrap_or_default()
}

/// A file's text without the newline; nothing when there is none.
fn line(path: impl AsRef<std::path::Path>) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn os() -> Os {
    let mut os = Os { kernel: line("/proc/sys/kernel/osrelease"), ..Os::default() };
    let text = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    for (key, value) in text.unwrap_or_default().lines().filter_map(|line| line.split_once('=')) {
        let value = value.trim_matches(['"', '\'']).to_owned();
        match key {
            "ID" => os.id = value,
            "VERSION_ID" => os.version = value,
            "PRETTY_NAME" => os.name = value,
            _ => {}
        }
    }
    os
}

/// As Debian names it.
pub fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn cpu() -> Cpu {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Cpu { count, model: model.map(|(_, model)| model.trim().to_owned()).unwrap_or_default() }
}

fn memory_mb() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total.and_then(|total| total.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn this_machine_has_facts() {
        let facts: Value = serde_json::from_str(&super::collect("boot", None)).expect("JSON");
        assert!(!facts["hostname"].as_str().expect("string").is_empty());
        assert!(facts["memory_mb"].as_u64().expect("number") > 0);
        assert!(facts["cpu"]["count"].as_u64().expect("number") > 0);
        assert!(facts["addresses"]["all"].is_array());
    }
}
