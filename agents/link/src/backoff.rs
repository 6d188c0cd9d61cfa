//! How long to wait before the next try to connect. Chance is an argument; the waiting itself is the caller's.

use std::time::Duration;

/// The first step: no wait before the second try is longer.
const FIRST: Duration = Duration::from_millis(500);
/// No step is longer.
const MAX_STEP: Duration = Duration::from_secs(30);
/// An engine that is full may say when to come back, but no later than this: what it says is not signed.
const MAX_TOLD: Duration = Duration::from_mins(2);
/// A session that lasted so long was a good one. One that ends sooner, again and again, must not be tried as fast as can be.
const STEADY: Duration = Duration::from_secs(5);

/// Exponential back-off with full jitter.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    tries: u32,
    told: Option<Duration>,
}

impl Backoff {
    /// The wait before the next try. `jitter` lies between 0 and 1, and the wait between nothing and the whole step: thousands of
    /// agents that lost one engine in the same instant come back evenly spread. Where an engine said when to come back, it is that
    /// and up to a tenth more.
    pub fn next(&mut self, jitter: f64) -> Duration {
        let jitter = jitter.clamp(0.0, 1.0);
        if let Some(told) = self.told.take() {
            return told.mul_f64(1.0 + jitter / 10.0);
        }
        let step = FIRST.saturating_mul(1 << self.tries.min(10)).min(MAX_STEP);
        self.tries = self.tries.saturating_add(1);
        step.mul_f64(jitter)
    }

    /// An engine that is there has no room, and said when to come back. It is no failure: the steps do not grow.
    pub fn told(&mut self, after: Duration) {
        self.told = Some(after.min(MAX_TOLD));
    }

    /// A session that the engine had welcomed is over: after a steady one the steps begin again.
    pub fn after_session(&mut self, lasted: Duration) {
        if lasted >= STEADY {
            self.tries = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_longest_and_starts_again_after_a_steady_session() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        backoff.after_session(STEADY.mul_f64(0.99));
        assert_eq!(backoff.next(1.0), MAX_STEP, "a session that ends at once is no good sign");
        backoff.after_session(STEADY);
        assert_eq!(backoff.next(1.0), FIRST);
    }

    #[test]
    fn the_jitter_is_the_whole_step() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(0.0), Duration::ZERO);
        assert_eq!(backoff.next(0.5), FIRST);
        assert_eq!(backoff.next(7.0), FIRST * 4, "chance out of bounds is cut");
    }

    #[test]
    fn what_an_engine_says_is_obeyed_once_and_within_bounds() {
        let mut backoff = Backoff::default();
        backoff.told(Duration::from_secs(20));
        assert_eq!(backoff.next(1.0), Duration::from_secs(22));
        assert_eq!(backoff.next(1.0), FIRST, "then the steps go on where they were");
        backoff.told(MAX_TOLD);
        assert_eq!(backoff.next(0.0), MAX_TOLD);
        backoff.told(MAX_TOLD + Duration::from_secs(1));
        assert_eq!(backoff.next(0.0), MAX_TOLD);
    }
}
