//! What happened between two looks at a deployment. Pure: the records of the API are all that it knows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rebar_api::types::{DeploymentStatus, NodeRoleView};
use rebar_model::{AttemptId, Mode, NodeRoleId, Phase, Standing};
use serde::Serialize;

/// Something that happened to a node-role.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Happening {
    /// When it happened, as far as it says so, else when it was seen; by the engine's clock.
    pub at: Timestamp,
    /// Its address in its deployment.
    pub address: String,
    /// The word for where it stands now.
    pub standing: Standing,
    /// The phase, where it runs or failed in one.
    pub phase: Option<Phase>,
    /// How long it ran, in seconds, where it did.
    pub seconds: Option<i64>,
    /// Why, where there is a reason.
    pub why: Option<String>,
    /// The attempt, where there was one.
    pub attempt: Option<AttemptId>,
    /// How many are done with this one.
    pub done: usize,
    /// How many there are to do.
    pub total: usize,
}

/// How many are done, of how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Done.
    pub done: usize,
    /// To do, in all.
    pub total: usize,
}

/// Where a node-role stood.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    standing: Standing,
    attempt: Option<AttemptId>,
    running_since: Option<Timestamp>,
    address: String,
}

/// Compares each look with the one before.
#[derive(Debug, Default)]
pub struct Tracker {
    mode: Option<Mode>,
    /// When things were looked at last.
    looked_at: Option<Timestamp>,
    seen: BTreeMap<NodeRoleId, Seen>,
    open: BTreeSet<NodeRoleId>,
    done: usize,
}

impl Tracker {
    /// What happened since the last look. The first look tells what has failed already, and nothing else.
    pub fn take(&mut self, status: &DeploymentStatus) -> Vec<Happening> {
        let first = self.mode.is_none();
        if self.mode != Some(status.mode) {
            self.mode = Some(status.mode);
            self.open.clear();
            self.done = 0;
        }
        let mut happenings = Vec::new();
        for row in &status.node_roles {
            let before = self.seen.get(&row.id).cloned();
            self.count(row, status.mode);
            if let Some(happening) = self.compare(row, before.as_ref(), first, status) {
                happenings.push(happening);
            }
            let running = matches!(row.standing, Standing::Running | Standing::Undoing);
            let since = if running { row.since } else { None };
            let seen = Seen {
                standing: row.standing,
                attempt: row.attempt,
                running_since: since,
                address: row.address.clone(),
            };
            self.seen.insert(row.id.clone(), seen);
        }
        happenings.extend(self.gone(status));
        in_order(&mut happenings);
        self.looked_at = Some(status.at);
        happenings
    }

    /// How many are done, of how many.
    pub fn counts(&self) -> Counts {
        Counts { done: self.done, total: self.done + self.open.len() }
    }

    /// Counts a node-role as open or done.
    fn count(&mut self, row: &NodeRoleView, mode: Mode) {
        let done = match mode {
            Mode::Converging => matches!(row.standing, Standing::Active | Standing::Removed),
            Mode::Rebuilding | Mode::Destroying => row.standing == Standing::Removed,
        };
        if !done {
            self.open.insert(row.id.clone());
        } else if self.open.remove(&row.id) {
            self.done += 1;
        }
    }

    /// What is worth telling about a node-role: it is active, failed, blocked, taken away.
    fn compare(
        &self,
        row: &NodeRoleView,
        before: Option<&Seen>,
        first: bool,
        status: &DeploymentStatus,
    ) -> Option<Happening> {
        let changed = before.is_none_or(|it| it.standing != row.standing || it.attempt != row.attempt);
        let telling = match row.standing {
            Standing::Failed => changed,
            Standing::Blocked | Standing::Held => {
                changed && !first && before.is_none_or(|it| it.standing != row.standing)
            }
            Standing::Active | Standing::Removed => changed && !first,
            _ => false,
        };
        if !telling {
            return None;
        }
        // What came to its end since the last look says when.
        let ended = matches!(row.standing, Standing::Active | Standing::Failed);
        let at = row.since.filter(|it| ended && self.looked_at.is_some_and(|last| *it > last)).unwrap_or(status.at);
        let seconds = before.and_then(|it| it.running_since).map(|it| at.duration_since(it).as_secs());
        Some(Happening {
            at,
            address: row.address.clone(),
            standing: row.standing,
            phase: row.progress.as_ref().and_then(|it| it.phase).or_else(|| failed_in(row)),
            seconds,
            why: row.why.clone(),
            attempt: row.attempt,
            done: self.done,
            total: self.counts().total,
        })
    }

    /// Node-roles that were there and are not any more.
    fn gone(&mut self, status: &DeploymentStatus) -> Vec<Happening> {
        let here: BTreeSet<&NodeRoleId> = status.node_roles.iter().map(|it| &it.id).collect();
        let gone: Vec<NodeRoleId> = self.seen.keys().filter(|it| !here.contains(it)).cloned().collect();
        let mut happenings = Vec::new();
        for id in gone {
            let Some(seen) = self.seen.remove(&id) else { continue };
            if self.open.remove(&id) {
                self.done += 1;
            }
            if seen.standing == Standing::Removed {
                continue;
            }
            happenings.push(Happening {
                at: status.at,
                address: seen.address,
                standing: Standing::Removed,
                phase: None,
                seconds: seen.running_since.map(|it| status.at.duration_since(it).as_secs()),
                why: None,
                attempt: seen.attempt,
                done: self.done,
                total: self.counts().total,
            });
        }
        happenings
    }
}

/// Puts what happened between two looks in the order of time; the counts go up with it.
fn in_order(happenings: &mut [Happening]) {
    let mut counts: Vec<usize> = happenings.iter().map(|it| it.done).collect();
    counts.sort_unstable();
    happenings.sort_by_key(|it| it.at);
    for (happening, count) in happenings.iter_mut().zip(counts) {
        happening.done = count;
    }
}

/// The phase in which a node-role failed.
fn failed_in(row: &NodeRoleView) -> Option<Phase> {
    row.reasons.iter().find_map(|it| match it {
        rebar_model::Reason::Failed { failure, .. } => failure.phase,
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn look(mode: &str, rows: &[(&str, &str, u64)]) -> DeploymentStatus {
        let rows: Vec<Value> = rows
            .iter()
            .map(|(node, standing, attempt)| {
                json!({
                    "id": format!("demo/web@{node}"), "address": format!("web@{node}"), "role": "web", "node": node,
                    "group": null, "ordinal": 0, "depth": 0, "milestone": false, "importance": "normal",
                    "standing": standing, "who": "rebar",
                    "reasons": [], "why": null, "since": "2026-11-21T12:00:00Z", "attempts": 1, "attempt": attempt,
                    "deadline": null, "progress": null
                })
            })
            .collect();
        serde_json::from_value(json!({
            "name": "demo", "workload": {"reference": "w@1.0.0", "digest": "0".repeat(64)}, "revision": 1, "mode": mode,
            "paused": null, "breaker": {"deployment": "demo", "state": "closed", "since": null, "by": null, "why": null, "evidence": null, "probe": null, "in_a_row": 0, "consecutive": null, "failed": [], "max_failed": null}, "rebuilds": 0, "protected": [], "counts": {}, "active": false, "settled": false, "needs_person": false,
            "node_roles": rows, "seq": 1, "at": "2026-11-21T12:00:05Z"
        }))
        .unwrap()
    }

    fn told(tracker: &mut Tracker, status: &DeploymentStatus) -> Vec<String> {
        let line = |it: &Happening| {
            let word = it.standing.word();
            format!("{} {word} {}/{} {:?}", it.address, it.done, it.total, it.seconds)
        };
        tracker.take(status).iter().map(line).collect()
    }

    #[test]
    fn what_is_finished_is_told_once() {
        let mut tracker = Tracker::default();
        assert!(
            told(&mut tracker, &look("converging", &[("a", "active", 1), ("b", "waiting", 0), ("c", "waiting", 0)]))
                .is_empty()
        );
        let second = look("converging", &[("a", "active", 1), ("b", "running", 2), ("c", "waiting", 0)]);
        assert!(told(&mut tracker, &second).is_empty());
        let third = look("converging", &[("a", "active", 1), ("b", "active", 2), ("c", "failed", 3)]);
        assert_eq!(told(&mut tracker, &third), ["web@b active 1/2 Some(5)", "web@c failed 1/2 None"]);
        assert!(told(&mut tracker, &third).is_empty());
        let again = look("converging", &[("a", "active", 1), ("b", "active", 2), ("c", "failed", 4)]);
        assert_eq!(told(&mut tracker, &again), ["web@c failed 1/2 None"], "another attempt is news");
    }

    #[test]
    fn what_happened_between_two_looks_is_told_in_its_order() {
        let mut tracker = Tracker::default();
        let mut first = look("converging", &[("a", "running", 1), ("b", "running", 2), ("c", "waiting", 0)]);
        first.at = "2026-11-21T12:00:00Z".parse().unwrap();
        told(&mut tracker, &first);
        let mut second = look("converging", &[("a", "active", 1), ("b", "active", 2), ("c", "active", 3)]);
        for (row, since) in second.node_roles.iter_mut().zip(["12:00:03Z", "12:00:01Z", "12:00:04Z"]) {
            row.since = Some(format!("2026-11-21T{since}").parse().unwrap());
        }
        let lines = told(&mut tracker, &second);
        assert_eq!(lines, ["web@b active 1/3 Some(1)", "web@a active 2/3 Some(3)", "web@c active 3/3 None"]);
    }

    #[test]
    fn a_wipe_and_a_rebuild_are_counted_apart() {
        let mut tracker = Tracker::default();
        told(&mut tracker, &look("rebuilding", &[("a", "undoing", 1), ("b", "active", 2)]));
        let wiped = told(&mut tracker, &look("rebuilding", &[("a", "removed", 1), ("b", "undoing", 2)]));
        assert_eq!(wiped, ["web@a removed 1/2 Some(5)"]);
        told(&mut tracker, &look("converging", &[("a", "running", 3), ("b", "waiting", 2)]));
        let built = told(&mut tracker, &look("converging", &[("a", "active", 3), ("b", "waiting", 2)]));
        assert_eq!(built, ["web@a active 1/2 Some(5)"]);
    }

    #[test]
    fn what_is_forgotten_is_told_too() {
        let mut tracker = Tracker::default();
        told(&mut tracker, &look("destroying", &[("a", "undoing", 1), ("b", "undoing", 2)]));
        assert_eq!(told(&mut tracker, &look("destroying", &[("b", "undoing", 2)])), ["web@a removed 1/2 Some(5)"]);
        assert_eq!(tracker.counts(), Counts { done: 1, total: 2 });
    }
}
