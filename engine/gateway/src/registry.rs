//! The sessions of this door, one a node: a new one ends the one before. What the engine knows about a node's connection is its
//! own; this is for the door.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rebar_model::NodeName;
use rebar_ports::SessionId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// In how many moments sessions are pinged.
const BEATS: u32 = 20;

/// The sessions of this door.
#[derive(Debug)]
pub(crate) struct Registry {
    sessions: Mutex<BTreeMap<NodeName, (SessionId, CancellationToken)>>,
    since: Instant,
}

impl Default for Registry {
    fn default() -> Self {
        Self { sessions: Mutex::default(), since: Instant::now() }
    }
}

impl Registry {
    /// When a session that is pinged so often is pinged first. Sessions share their moments, of which there are [`BEATS`] in the time
    /// between two pings: ten thousand that are pinged each at its own take twice the CPU, all of it for waking up.
    pub(crate) fn next_beat(&self, every: Duration) -> Instant {
        let beat = (every / BEATS).max(Duration::from_millis(1));
        let passed = self.since.elapsed().div_duration_f64(beat).ceil();
        self.since + beat.mul_f64(passed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeName, (SessionId, CancellationToken)>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a session and ends an earlier one of the node. False when a later one is here already, as can be when two of a node
    /// say hello in the same moment.
    pub(crate) fn enter(&self, node: &NodeName, session: SessionId, replaced: CancellationToken) -> bool {
        let mut sessions = self.lock();
        if sessions.get(node).is_some_and(|(present, _)| *present > session) {
            return false;
        }
        if let Some((_, before)) = sessions.insert(node.clone(), (session, replaced)) {
            before.cancel();
        }
        true
    }

    /// Forgets a session, unless a later one has taken its place.
    pub(crate) fn leave(&self, node: &NodeName, session: SessionId) {
        let mut sessions = self.lock();
        if sessions.get(node).is_some_and(|(present, _)| *present == session) {
            sessions.remove(node);
        }
    }

    /// Whether a node has a session here, which means that the engine knows it.
    pub(crate) fn has(&self, node: &NodeName) -> bool {
        self.lock().contains_key(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_session_of_a_node_stays() {
        let registry = Registry::default();
        let node = NodeName::new("n1").unwrap();
        let (first, second, late) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        assert!(registry.enter(&node, SessionId(1), first.clone()));
        assert!(registry.enter(&node, SessionId(3), second.clone()));
        assert!(first.is_cancelled());
        assert!(!registry.enter(&node, SessionId(2), late));
        assert!(!second.is_cancelled());
        registry.leave(&node, SessionId(1));
        assert!(registry.has(&node));
        registry.leave(&node, SessionId(3));
        assert!(!registry.has(&node));
    }
}
