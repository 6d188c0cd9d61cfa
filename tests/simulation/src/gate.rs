//! The pulse of a process: it runs, is frozen, or is dead. Everything that would leave the process passes here, so that nothing of a
//! frozen or dead one is seen outside.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pulse {
    Running,
    /// As after `SIGSTOP`.
    Frozen,
    /// As after `SIGKILL`; for ever.
    Dead,
}

/// The pulse of a process.
#[derive(Clone)]
pub(crate) struct Gate {
    inner: Arc<(Mutex<Pulse>, Notify)>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::new((Mutex::new(Pulse::Running), Notify::new())) }
    }

    pub(crate) fn pulse(&self) -> Pulse {
        *self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Freezes, thaws or kills. The dead stay dead.
    pub(crate) fn set(&self, pulse: Pulse) {
        let mut now = self.inner.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != Pulse::Dead {
            *now = pulse;
        }
        drop(now);
        self.inner.1.notify_waiters();
    }

    /// Waits until the process runs: for ever when it is dead.
    pub(crate) async fn pass(&self) {
        loop {
            let changed = self.inner.1.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.pulse() {
                Pulse::Running => return,
                Pulse::Frozen => changed.await,
                Pulse::Dead => std::future::pending().await,
            }
        }
    }

    /// Resolves when the process is dead.
    pub(crate) async fn death(&self) {
        loop {
            let changed = self.inner.1.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.pulse() == Pulse::Dead {
                return;
            }
            changed.await;
        }
    }
}
