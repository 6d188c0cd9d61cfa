//! The agent's side of the conversation with the engine as a state machine without input or output: what arrives goes in as an
//! [`Input`], what must happen comes out as [`Output`]s in the order in which they must happen. Sockets, files, processes, clocks
//! and chance live in `rebar-agent`.
//!
//! ```text
//!              dispatch, the same node-role busy
//!   (unknown) ───────────────────────────────────▶ Waiting ── cancelled, replaced ──┐
//!       │ dispatch                                    │ the one before has ended     │
//!       ▼                                             ▼                              ▼
//!    Starting ◀───────────────────────────────────────┘      result ack          Finished ──┐
//!       │ started          ended                                                     ▲      │ result ack and
//!       ▼                                                                            │      │ all of the log
//!    Running ────────────────────────────────────────────────────────────────────────┘      ▼ acknowledged
//!                                                                                       Forgotten
//! ```

mod backoff;
mod event;
mod held;
mod machine;
mod window;

pub use backoff::Backoff;
pub use event::{Input, Local, Output, Recovered, RecoveredAttempt, RecoveredState, Refusal, Session};
pub use machine::{Link, MAX_FORGOTTEN, MAX_TAILS};
pub use window::{MAX_LOG_BURST, MAX_LOG_RATE, MAX_WINDOW, Window};
