//! Block devices that could hold something: no loops, no RAM disks, nothing that is made of others.

use std::fs;

use serde::Serialize;

use crate::facts::line;

/// The kernel counts in these, whatever the device does.
const SECTOR: u64 = 512;

#[derive(Debug, Serialize)]
pub(super) struct Disk {
    name: String,
    size_bytes: u64,
    rotational: bool,
    model: String,
}

pub(super) fn collect() -> Vec<Disk> {
    let Ok(devices) = fs::read_dir("/sys/block") else { return Vec::new() };
    let mut disks: Vec<Disk> = devices
        .flatten()
        .filter_map(|device| {
            let name = device.file_name().into_string().ok()?;
            let of_others = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd"];
            if of_others.iter().any(|prefix| name.starts_with(prefix)) {
                return None;
            }
            let path = device.path();
            let size_bytes = line(path.join("size")).parse::<u64>().ok()? * SECTOR;
            let rotational = line(path.join("queue/rotational")) == "1";
            (size_bytes > 0).then(|| Disk { name, size_bytes, rotational, model: line(path.join("device/model")) })
        })
        .collect();
    disks.sort_by(|left, right| left.name.cmp(&right.name));
    disks
}
