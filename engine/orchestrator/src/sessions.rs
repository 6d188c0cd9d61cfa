//! The agents that are here: one session a node, the latest. What is said to them goes through here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rebar_model::NodeName;
use rebar_ports::{AgentCommand, AgentSession, SessionId};

/// The agents that are here.
#[derive(Default)]
pub(crate) struct Sessions {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last: u64,
    here: BTreeMap<NodeName, (SessionId, Arc<dyn AgentSession>)>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a session in; it replaces the one before of this node.
    pub fn open(&self, node: &NodeName, session: Arc<dyn AgentSession>) -> SessionId {
        let mut table = self.lock();
        table.last += 1;
        let id = SessionId(table.last);
        table.here.insert(node.clone(), (id, session));
        id
    }

    /// Lets a session go: true if it was the node's latest.
    pub fn close(&self, node: &NodeName, session: SessionId) -> bool {
        let mut table = self.lock();
        let latest = table.here.get(node).is_some_and(|(id, _)| *id == session);
        if latest {
            table.here.remove(node);
        }
        latest
    }

    /// Lets all sessions go: their agents come back and say again what they hold.
    pub fn close_all(&self) {
        self.lock().here.clear();
    }

    /// Says something to an agent. Nothing is lost if it is not here: it will be said again when it comes.
    pub fn send(&self, node: &NodeName, command: AgentCommand) {
        let mut table = self.lock();
        if let Some((_, session)) = table.here.get(node)
            && session.send(command).is_err()
        {
            tracing::warn!(%node, "session of agent is over");
            table.here.remove(node);
        }
    }
}
