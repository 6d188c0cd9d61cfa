//! One backend: what is thought of it, how many connections it has, and how it ends. Which backend gets a connection is decided in
//! `pool.rs`.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rebar_model::{HealthCheck, ResourceId, Span};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    check::check,
    health::{Health, Status},
};
use crate::checks::Pace;

/// One backend.
pub(crate) struct Backend {
    pub(crate) id: ResourceId,
    pub(crate) address: SocketAddr,
    health: Mutex<Health>,
    drain_timeout: Mutex<Span>,
    open: watch::Sender<usize>,
    total: AtomicU64,
    /// Asks for a check at once.
    doubt: Notify,
    /// Ends the checks.
    retired: CancellationToken,
    /// Ends the open connections.
    closed: CancellationToken,
}

/// One connection of a backend, counted until this is dropped.
pub(crate) struct Lease {
    pub(crate) backend: Arc<Backend>,
}

impl Backend {
    pub(crate) fn new(id: ResourceId, address: SocketAddr, drain_timeout: Span) -> Self {
        Self {
            id,
            address,
            health: Mutex::default(),
            drain_timeout: Mutex::new(drain_timeout),
            open: watch::Sender::new(0),
            total: AtomicU64::new(0),
            doubt: Notify::new(),
            retired: CancellationToken::new(),
            closed: CancellationToken::new(),
        }
    }

    /// What is thought of it.
    pub(crate) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections it has.
    pub(crate) fn open(&self) -> usize {
        *self.open.borrow()
    }

    /// How many connections it ever had.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// How long its connections may go on when it is taken away.
    pub(crate) fn drain_timeout(&self) -> Span {
        *self.drain_timeout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_drain_timeout(&self, span: Span) {
        *self.drain_timeout.lock().unwrap_or_else(PoisonError::into_inner) = span;
    }

    /// Counts one more connection.
    pub(crate) fn lease(self: &Arc<Self>) -> Lease {
        self.open.send_modify(|open| *open += 1);
        self.total.fetch_add(1, Ordering::Relaxed);
        Lease { backend: self.clone() }
    }

    /// Takes the failure of a connection, and has the backend checked at once.
    pub(crate) fn suspect(&self, error: String) {
        tracing::warn!(backend = %self.id, address = %self.address, error, "backend did not take a connection");
        if self.health().suspect(error) {
            self.doubt.notify_one();
        }
    }

    /// Resolves when the connections of this backend have to end.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Ends the checks; nothing more is learnt of it.
    pub(crate) fn retire(&self) {
        self.retired.cancel();
    }

    /// Checks it until it is retired; the first time at once.
    pub(crate) async fn keep_checking(
        self: Arc<Self>,
        mut how: watch::Receiver<HealthCheck>,
        pace: Pace,
        changed: Arc<Notify>,
    ) {
        let checks = async {
            loop {
                let wanted = how.borrow_and_update().clone();
                let result = check(self.address, &wanted, pace.timeout).await;
                self.take_result(result, &changed);
                tokio::select! {
                    () = sleep(pace.interval) => {}
                    () = self.doubt.notified() => {}
                    other = how.changed() => if other.is_err() { break },
                }
            }
        };
        tokio::select! {
            () = checks => {}
            () = self.retired.cancelled() => {}
        }
    }

    fn take_result(&self, result: Result<(), String>, changed: &Notify) {
        let mut health = self.health();
        let before = health.status;
        if health.observe(result) {
            changed.notify_one();
        }
        let (status, error) = (health.status, health.error.clone());
        drop(health);
        match (before == status, status) {
            (true, _) => {}
            (false, Status::Up) => tracing::info!(backend = %self.id, address = %self.address, "backend is up"),
            (false, _) => tracing::warn!(backend = %self.id, address = %self.address, ?error, "backend is down"),
        }
    }

    /// Waits until its connections have ended by themselves, at most until a moment, then ends those that are left.
    pub(crate) async fn drain(&self, until: Instant) {
        let mut open = self.open.subscribe();
        tokio::select! {
            _ = open.wait_for(|open| *open == 0) => {}
            () = sleep_until(until) => {
                tracing::warn!(backend = %self.id, open = self.open(), "connections cut at the end of the drain timeout");
            }
        }
        self.closed.cancel();
        // The sender lives in `self`, so this ends with the last connection and in no other way.
        let _ = open.wait_for(|open| *open == 0).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.backend.open.send_modify(|open| *open = open.saturating_sub(1));
    }
}
