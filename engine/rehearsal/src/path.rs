//! The critical path: the chain of attempts that the end of the whole waited for. From the last attempt back, each time to what ended
//! last of all that it had to wait for: what it requires, an earlier attempt of its own, the lock, the slot.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rebar_model::{Attempt, NodeName, NodeRoleId, NodeRoleSpec, RoleName, Span};
use serde::Serialize;

use crate::report::seconds;

/// One attempt on the critical path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Of what.
    pub node_role: NodeRoleId,
    /// When it began, after the plan was accepted.
    #[serde(rename = "begins_seconds", serialize_with = "seconds")]
    pub begins: Span,
    /// How long it took.
    #[serde(rename = "took_seconds", serialize_with = "seconds")]
    pub took: Span,
    /// How long nothing of the path ran before it.
    #[serde(rename = "waited_seconds", serialize_with = "seconds")]
    pub waited: Span,
    /// What it waited for.
    pub link: Link,
}

/// What a step of the path waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// Nothing: the path begins with it.
    Start,
    /// What it requires.
    Requirement,
    /// An earlier attempt of its own.
    Retry,
    /// The lock on its node.
    Lock,
    /// One of the few slots that its role has.
    Slot,
}

/// What the path is looked for in.
pub(crate) struct Paths<'a> {
    pub start: Timestamp,
    pub attempts: &'a [Attempt],
    pub specs: &'a BTreeMap<&'a NodeRoleId, &'a NodeRoleSpec>,
    /// The roles of which only so many run at once.
    pub limited: &'a dyn Fn(&RoleName) -> bool,
}

/// An attempt that ended.
#[derive(Clone, Copy)]
struct Ended<'a> {
    attempt: &'a Attempt,
    at: Timestamp,
}

impl Paths<'_> {
    /// The path, from its beginning to its end.
    pub fn critical(&self) -> Vec<Step> {
        let ended = self.attempts.iter().filter_map(|attempt| Some(Ended { attempt, at: attempt.ended_at? }));
        let all: Vec<Ended<'_>> = ended.collect();
        let mut of: BTreeMap<&NodeRoleId, Vec<Ended<'_>>> = BTreeMap::new();
        let mut locks: BTreeMap<(&Option<NodeName>, &str), Vec<Ended<'_>>> = BTreeMap::new();
        let mut slots: BTreeMap<&RoleName, Vec<Ended<'_>>> = BTreeMap::new();
        for it in &all {
            let id = &it.attempt.node_role;
            of.entry(id).or_default().push(*it);
            if let Some(lock) = self.specs.get(id).and_then(|spec| spec.lock.as_ref()) {
                locks.entry((&it.attempt.node, lock.as_str())).or_default().push(*it);
            }
            if (self.limited)(&id.role) {
                slots.entry(&id.role).or_default().push(*it);
            }
        }
        let mut steps = Vec::new();
        let mut next = all.iter().max_by_key(|it| (it.at, it.attempt.id)).copied();
        while let Some(current) = next {
            let attempt = current.attempt;
            let spec = self.specs.get(&attempt.node_role);
            let required = spec.into_iter().flat_map(|it| &it.requires).flat_map(|it| &it.candidates);
            let none = Vec::new();
            let lock = spec.and_then(|it| it.lock.as_ref()).and_then(|it| locks.get(&(&attempt.node, it.as_str())));
            let waits = [
                (
                    Link::Requirement,
                    required.filter_map(|it| of.get(it)).filter_map(|it| last(it, attempt)).max_by_key(latest),
                ),
                (Link::Retry, last(of.get(&attempt.node_role).unwrap_or(&none), attempt)),
                (Link::Lock, last(lock.unwrap_or(&none), attempt)),
                (Link::Slot, last(slots.get(&attempt.node_role.role).unwrap_or(&none), attempt)),
            ];
            // Of equal ones the first: what it requires says more than what it happened to queue behind.
            let before = waits.into_iter().filter_map(|(link, it)| Some((link, it?))).rev().max_by_key(|(_, it)| it.at);
            let (link, since) = before.map_or((Link::Start, self.start), |(link, it)| (link, it.at));
            steps.push(Step {
                node_role: attempt.node_role.clone(),
                begins: between(self.start, attempt.started_at),
                took: between(attempt.started_at, current.at),
                waited: between(since, attempt.started_at),
                link,
            });
            next = before.map(|(_, it)| it);
        }
        steps.reverse();
        steps
    }
}

fn latest(it: &Ended<'_>) -> (Timestamp, u64) {
    (it.at, it.attempt.id.0)
}

/// The last of some attempts that ended before another began.
fn last<'a>(ended: &[Ended<'a>], before: &Attempt) -> Option<Ended<'a>> {
    let earlier = ended.iter().filter(|it| it.at <= before.started_at && it.attempt.id < before.id);
    earlier.max_by_key(|it| latest(it)).copied()
}

/// The time between two moments; none if the second comes first.
pub(crate) fn between(first: Timestamp, second: Timestamp) -> Span {
    Span::from_millis(u64::try_from(second.duration_since(first).as_millis()).unwrap_or(0))
}
