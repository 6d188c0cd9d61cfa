//! The limits and the fixed lengths of time of a rehearsal, in one place.

use rebar_model::Span;

/// The most nodes.
pub const MAX_NODES: usize = 20_000;
/// How long a rehearsed deployment may take, by its own clock; what goes on after that does not come to an end.
pub const MAX_LENGTH: Span = Span::from_secs(7 * 24 * 3_600);
/// Nodes and services act at multiples of this, so that what happens at nearly the same moment is one commit, as it is in an engine
/// whose disk takes its time.
pub(crate) const TICK: Span = Span::from_millis(250);
/// How often it is looked whether anything goes on.
pub(crate) const LOOK: Span = Span::from_secs(1);
/// Agents come back within this time after their engine did, each at its own moment.
pub(crate) const RETURN_SPREAD: Span = Span::from_secs(10);
/// How long an agent waits before it dials an engine again that is not there.
pub(crate) const REDIAL: Span = Span::from_secs(1);
/// How long an engine that was killed is away where the fault does not say it.
pub(crate) const DOWN_TIME: Span = Span::from_secs(5);
/// The most factor of a slow node.
pub(crate) const MAX_FACTOR: f64 = 1_000.0;
/// No attempt takes longer than this many times what 19 of 20 take.
pub(crate) const LONGEST_DRAW: f64 = 4.0;
/// How deep schemas are followed when a value is made.
pub(crate) const MAX_DEPTH: u32 = 32;
/// How many steps it may take to make one value: pieces of it, and places in its schema that are looked at.
pub(crate) const MAX_STEPS: u32 = 10_000;
/// How long a text may get, in bytes.
pub(crate) const MAX_TEXT: usize = 4_096;
