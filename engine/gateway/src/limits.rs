//! Every limit of the door in one place, with the reason for its size. Sizes that both sides must know are in `rebar-proto`.

use std::time::Duration;

/// Connections that wait in the kernel until they are looked at. The kernel has a limit of its own, `net.core.somaxconn`.
pub(crate) const BACKLOG: u32 = 4_096;
/// The soonest that a connection for which there is no room is told to come back.
pub(crate) const COME_BACK_FIRST: Duration = Duration::from_secs(1);
/// The latest. At [`Limits::arrivals_per_second`] this is room for 30,000 agents that come at once.
pub(crate) const COME_BACK_LAST: Duration = Duration::from_mins(1);
/// Connections at one time that are being told to come back; beyond that they are closed without a word.
pub(crate) const LINGERING: usize = 2_048;
/// How long telling one may take.
pub(crate) const LINGER: Duration = Duration::from_secs(5);
/// Calls at one time on one connection: a session, a renewal and some fetches.
pub(crate) const STREAMS_PER_CONNECTION: u32 = 16;
/// The headers of one call, in bytes.
pub(crate) const HEADERS: u32 = 16 * 1024;
/// Between two pings of HTTP/2 on a connection from which nothing comes, whether or not a session is on it.
pub(crate) const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// How long such a ping may go without an answer. On a slow line it stands behind what is being sent; that the other side is dead is
/// seen from [`SILENCE`].
pub(crate) const KEEPALIVE_PATIENCE: Duration = Duration::from_mins(2);
/// A connection from which not a byte comes for this long is dead: agents say something every five seconds, and their systems answer
/// the pings. Bytes count and not messages: a large one takes minutes on a slow line.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);
/// Bytes that wait in the kernel to be sent on one connection. What waits there cannot be overtaken by an order or a ping.
pub(crate) const UNSENT: u32 = 16 * 1024;
/// So many pings in a row in which not one message came whole end a session, with [`Limits::ping`] of 5 s after 3 minutes: the
/// largest result takes 2 on a line of 64 kbit/s.
pub(crate) const QUIET_PINGS: u32 = 36;
/// The largest enrolment, in bytes: a token and a certificate request.
pub(crate) const ENROL_MESSAGE: usize = 32 * 1024;
/// The longest token, in bytes.
pub(crate) const TOKEN: usize = 256;
/// The longest certificate request, in bytes of PEM.
pub(crate) const CSR: usize = 16 * 1024;
/// The facts of a machine, in bytes of JSON.
pub(crate) const FACTS: usize = 256 * 1024;
/// The attempts that an agent may say it holds.
pub(crate) const HELD: usize = 8192;
/// The version of an agent and the id of a boot, in bytes.
pub(crate) const SHORT_TEXT: usize = 128;
/// A line for people, in bytes; what is longer is cut.
pub(crate) const LINE: usize = 2048;
/// The longest wait that a role may ask for.
pub(crate) const RETRY_AFTER: Duration = Duration::from_hours(24 * 30);
/// Messages of one session that are being stored at one time. The store commits them in groups.
pub(crate) const STORING: usize = 64;
/// Messages of one session that wait to be stored; when reached, the stream is not read until some are.
pub(crate) const WAITING: usize = 1024;
/// The same in bytes.
pub(crate) const WAITING_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of messages on their way to one agent; more, and the session is lost.
pub(crate) const OUTBOUND_BYTES: usize = 32 * 1024 * 1024;
/// Different contents that are being sent at one time: each is in memory once.
pub(crate) const CONTENTS: usize = 32;
/// How long an ended session goes on storing what the agent said before.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);
/// How long a session that the engine let go waits to learn whether another took its place, so that the right reason is said.
pub(crate) const SUCCESSOR: Duration = Duration::from_millis(500);
/// How long the door waits for its connections when the engine stops.
pub(crate) const STOP: Duration = Duration::from_secs(8);
/// The age at which the door's own certificate is replaced by a fresh one.
pub(crate) const IDENTITY_AGE: Duration = Duration::from_hours(24);
/// The wait before the next try when that went wrong.
pub(crate) const IDENTITY_RETRY: Duration = Duration::from_mins(10);

/// The limits that an engine may set otherwise; the defaults are meant for production.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at one time that are between their first packet and their welcome.
    pub arrivals: usize,
    /// Connections that may begin in a second; so many more as [`Limits::arrivals`] may after a quiet time.
    pub arrivals_per_second: u32,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a session may be open before the agent has said hello.
    pub hello: Duration,
    /// Between two pings of a session.
    pub ping: Duration,
    /// How long a connection without a client certificate may last: long enough to enrol.
    pub anonymous: Duration,
    /// Connections at one time that showed a node's certificate. Each is a file: the engine's limit of open files has to be higher.
    pub connections: usize,
    /// Connections at one time that showed none.
    pub anonymous_connections: usize,
    /// Sessions at one time.
    pub sessions: usize,
    /// Messages on their way to one agent; more, and the session is lost.
    pub queue: usize,
    /// Transfers of content at one time, over all nodes; agents beyond that try again by themselves.
    pub fetches: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            arrivals: 256,
            arrivals_per_second: 500,
            handshake: Duration::from_secs(20),
            hello: Duration::from_secs(10),
            ping: Duration::from_secs(5),
            anonymous: Duration::from_secs(30),
            connections: 16_384,
            anonymous_connections: 128,
            sessions: 16_384,
            queue: 4096,
            fetches: 1_024,
        }
    }
}
