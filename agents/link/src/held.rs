//! One attempt that the agent holds: how far it is and how much of its log the engine has. No rule about other attempts is here.

use rebar_proto::v1::{AttemptResult, Dispatch};

/// An attempt that the agent holds.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) node_role: String,
    pub(crate) state: State,
    pub(crate) log: Log,
}

/// How far an attempt is.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// Another attempt of the same node-role must end first. Not in the journal.
    Waiting(Box<Dispatch>),
    /// Told to start; not known to be in the journal.
    Starting,
    /// In the journal.
    Running { at_ms: i64 },
    /// Ended; the engine has not said that it knows.
    Finished(Box<AttemptResult>),
    /// The engine has the result, but not yet the end of the log.
    Tail { log_bytes: u64 },
}

/// What the engine has of an attempt's log.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Log {
    /// Said in this session.
    pub(crate) sent: u64,
    /// Durable in the engine.
    pub(crate) acked: u64,
    /// In this session the log has been said to its end.
    pub(crate) drained: bool,
}

impl Log {
    /// Begin again from what is durable, in a new session.
    pub(crate) fn rewind(&mut self) {
        self.sent = self.acked;
        self.drained = false;
    }
}

impl Held {
    /// The attempt does, or soon will do, something to the machine.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.state, State::Starting | State::Running { .. })
    }

    /// The length of the log of an attempt that has ended, as its result says it.
    pub(crate) fn log_bytes(&self) -> Option<u64> {
        match &self.state {
            State::Finished(result) => Some(result.log_bytes),
            State::Tail { log_bytes } => Some(*log_bytes),
            State::Waiting(_) | State::Starting | State::Running { .. } => None,
        }
    }

    /// The attempt has not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.is_busy() || matches!(self.state, State::Waiting(_))
    }
}
