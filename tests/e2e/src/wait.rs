//! Waiting for a condition: looked at often, given up after a bound, with the last answer in the message.

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

/// How long a condition may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until a look finds something.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look)
}

/// Waits until a look finds something, for as long as said.
pub fn eventually_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < patience, "still not so after {patience:?}: {what}");
        thread::park_timeout(PAUSE);
    }
}

/// What a look that fails says.
pub(crate) fn said(text: &impl Debug) -> String {
    format!("{text:?}")
}
