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
    if repeat(round).await == Left::Some {
        tracing::warn!("leftovers of a phase do not die");
    }
}

/// Who is left after a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nobody,
    Some,
}

/// Takes note of those that have ended, and kills the others.
fn round() -> Left {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => break,
            // There is nobody left to wait for.
            Err(_) => return Left::Nobody,
        }
    }
    for child in children() {
        let _ = kill_process(child, Signal::KILL);
    }
    Left::Some
}

/// Goes through rounds until nobody is left, or there have been too many.
async fn repeat(mut round: impl FnMut() -> Left) -> Left {
    for _ in 0..MAX_ROUNDS {
        if round() == Left::Nobody {
            return Left::Nobody;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Left::Some
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

/// Whether this process has a child, ended or not.
pub(crate) fn are_left() -> bool {
    round() == Left::Some
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of processes that die in this round, and how many rounds there are.
    async fn dying_in(last: u32) -> (Left, u32) {
        let mut rounds = 0;
        let left = repeat(|| {
            rounds += 1;
            if rounds == last { Left::Nobody } else { Left::Some }
        });
        (left.await, rounds)
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_die_in_so_many_rounds_is_left() {
        assert_eq!(dying_in(MAX_ROUNDS).await, (Left::Nobody, MAX_ROUNDS));
        assert_eq!(dying_in(MAX_ROUNDS + 1).await, (Left::Some, MAX_ROUNDS));
    }
}
