//! The real clock and the real chance, behind their ports. Together with `serve.rs` the only place that may ask for either.

use async_trait::async_trait;
use jiff::Timestamp;
use rebar_ports::{Clock, Entropy};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        // A clock that is set back must not make a sleeper wait for hours: it wakes and looks again.
        const LONGEST: std::time::Duration = std::time::Duration::from_secs(30);
        loop {
            let left = at.duration_since(self.now());
            let Ok(left) = std::time::Duration::try_from(left) else { return };
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LONGEST)).await;
        }
    }
}

/// The kernel's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn bytes(&self) -> [u8; 32] {
        rand::random()
    }
}
