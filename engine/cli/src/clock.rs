//! The one place where the client reads the clock. Screens take the time as an argument.

use jiff::Timestamp;

/// The time now.
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the client is its own outermost layer; screens still take the time")]
    Timestamp::now()
}
