//! The clock of one machine: simulated time, and how far this machine's is from it. It may be set while somebody sleeps by it.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rebar_ports::{Clock, Entropy};
use tokio::time::Instant;

use crate::{chance::Chance, gate::Gate};

/// The longest sleep without a look at the clock, as in the real one.
const LONGEST: Duration = Duration::from_secs(30);

/// The clock of one machine.
pub(crate) struct SimClock {
    start: Instant,
    skew_ms: AtomicI64,
}

impl SimClock {
    /// A clock that is right.
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, skew_ms: AtomicI64::new(0) }
    }

    /// Sets it so far from the true time.
    pub(crate) fn set(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_millis(self.skew_ms.load(Ordering::Relaxed));
        // Some day long after 1970, so that a clock can be set back.
        Timestamp::UNIX_EPOCH + Duration::from_hours(24 * 20_000) + self.start.elapsed() + skew
    }
}

/// The clock as a process sees it.
pub(crate) struct ProcessClock {
    pub(crate) clock: std::sync::Arc<SimClock>,
    pub(crate) gate: Gate,
}

#[async_trait]
impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        loop {
            self.gate.pass().await;
            let left = Duration::try_from(at.duration_since(self.clock.now())).unwrap_or_default();
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LONGEST)).await;
        }
    }
}

/// Chance as a process sees it.
pub(crate) struct SimEntropy(pub(crate) Chance);

impl Entropy for SimEntropy {
    fn bytes(&self) -> [u8; 32] {
        self.0.draw(|rng| std::array::from_fn(|_| rng.u8(..)))
    }
}
