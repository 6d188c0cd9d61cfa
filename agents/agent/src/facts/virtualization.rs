//! What this machine is made of: metal, a virtual machine, or a container.

use std::{fs, path::Path};

use crate::facts::line;

/// `none`, or the kind.
pub(super) fn detect() -> String {
    container().or_else(hypervisor).unwrap_or_else(|| "none".to_owned())
}

fn container() -> Option<String> {
    // systemd writes it down for everybody.
    let known = line("/run/systemd/container");
    if !known.is_empty() {
        return Some(known);
    }
    if Path::new("/.dockerenv").exists() {
        return Some("docker".to_owned());
    }
    if Path::new("/run/.containerenv").exists() {
        return Some("podman".to_owned());
    }
    let environment = fs::read("/proc/1/environ").unwrap_or_default();
    let kind = environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(b"container="))?;
    Some(String::from_utf8_lossy(kind).into_owned())
}

fn hypervisor() -> Option<String> {
    const VENDORS: [(&str, &str); 9] = [
        ("QEMU", "qemu"),
        ("KVM", "kvm"),
        ("Red Hat", "kvm"),
        ("VMware", "vmware"),
        ("innotek", "oracle"),
        ("Oracle", "oracle"),
        ("Microsoft", "microsoft"),
        ("Amazon EC2", "amazon"),
        ("Google", "google"),
    ];
    let flagged = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flagged = flagged.lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor"));
    if !flagged {
        return None;
    }
    let vendor = line("/sys/class/dmi/id/sys_vendor");
    let known = VENDORS.iter().find(|(prefix, _)| vendor.starts_with(prefix));
    Some(known.map_or("vm-other", |(_, kind)| kind).to_owned())
}
