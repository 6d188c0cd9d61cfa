//! The ports to time and chance. Everything else takes `now` and random numbers as arguments.

use async_trait::async_trait;
use jiff::Timestamp;

/// The time.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Resolves at a moment. Cancel safe.
    async fn sleep_until(&self, at: Timestamp);
}

/// Chance.
pub trait Entropy: Send + Sync + 'static {
    /// 32 bytes that nobody can guess.
    fn bytes(&self) -> [u8; 32];
}
