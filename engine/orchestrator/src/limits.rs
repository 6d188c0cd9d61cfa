//! The limits of the engine's inside, in one place.

use rebar_model::Span;

/// How many inputs may wait for the owner; senders wait beyond that.
pub const MAX_INBOX: usize = 4_096;
/// How many inputs are taken from the inbox at a time.
pub const MAX_BATCH: usize = 512;
/// How many changes may be decided while a commit is on its way; they are the next commit. Inputs wait beyond that.
pub const MAX_AHEAD: usize = 16_384;
/// How many steps a plan may have that is remembered until it is accepted. A larger one is made again then.
pub(crate) const MAX_REMEMBERED: usize = 20_000;
/// How long what nobody waits for may stay undurable: that an attempt is in its agent's journal, which the agent says again. What
/// comes meanwhile, most often the end of the attempt, is written in the same commit.
pub(crate) const MAX_DELAY: Span = Span::from_millis(20);
/// How long an engine leads without renewing its lease: a standby takes over this long after the leader went silent.
pub const LEASE_TTL: Span = Span::from_secs(3);
/// How long the tasks of an engine that ends may take; one may wait for a database that does not answer.
pub(crate) const ENDING: Span = Span::from_secs(3);
/// Between two looks of a standby at what the leader committed, and at the lease.
pub(crate) const FOLLOW_PAUSE: Span = Span::from_millis(250);
/// How many changes a standby takes over at a time.
pub(crate) const FOLLOWED_AT_ONCE: u32 = 1_000;
/// How long an enrolment token is worth something.
pub const ENROL_TOKEN_TTL: Span = Span::from_secs(3_600);
/// How many effects may wait for the outbox.
pub(crate) const MAX_OUTBOX: usize = 16_384;
/// How many pieces of logs may wait to be written; agents wait beyond that.
pub(crate) const MAX_LOG_QUEUE: usize = 1_024;
/// How long to wait before a service or a store that failed is asked again.
pub(crate) const RETRY_PAUSE: Span = Span::from_secs(1);
