//! Ending what a phase leaves behind. The supervisor is the reaper of all its descendants, so whatever leaves its group or its
//! parent still comes to it.

use std::{fs, time::Duration};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};

/// Rounds of killing and looking again; a process in the middle of a disk operation takes its time.
const MAX_ROUNDS: u32 = 400;
const PAUSE: Duration = Duration::from_millis(5);

/// Kills what is left of a process group, and every descendant of this process.
pub(crate) async fn end(group: Option<Pid>) {
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    for _ in 0..MAX_ROUNDS {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                // There is nobody left to wait for.
                Err(_) => return,
            }
        }
        for child in children() {
            let _ = kill_process(child, Signal::KILL);
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::warn!("leftovers of a phase do not die");
}

/// Kills every process that carries the mark of an attempt: for when its supervisor is gone, and its children are anybody's.
pub fn end_marked(mark: &str) {
    let Ok(processes) = fs::read_dir("/proc") else { return };
    let marked = processes.flatten().filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let environment = fs::read(entry.path().join("environ")).ok()?;
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()).then_some(pid)
    });
    for pid in marked.collect::<Vec<_>>() {
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn children() -> Vec<Pid> {
    from_kernel().unwrap_or_else(from_process_table)
}

/// The kernel's own list, where it is built in.
fn from_kernel() -> Option<Vec<Pid>> {
    let mut found = Vec::new();
    for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
        let text = fs::read_to_string(thread.path().join("children")).ok()?;
        found.extend(text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)));
    }
    Some(found)
}

fn from_process_table() -> Vec<Pid> {
    let own = std::process::id().to_string();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let parent_is_me = |entry: &fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(1).map(str::to_owned));
        parent.is_some_and(|parent| parent == own)
    };
    processes
        .flatten()
        .filter(parent_is_me)
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}
