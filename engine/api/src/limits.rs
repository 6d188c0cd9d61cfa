//! Every limit of the door in one place, with the reason for its size.

use std::time::Duration;

use rebar_model::Span;

/// The most items of a page.
pub(crate) const PAGE_MOST: u32 = 1_000;
/// The items of a page where nobody says how many.
pub(crate) const PAGE: u32 = 100;
/// The largest body, in bytes, of everything but a package.
pub(crate) const BODY: usize = 1 << 20;
/// The largest archive of a package, in bytes: headers and padding come on top of its files.
pub(crate) const PACKAGE_BODY: usize = rebar_manifest::MAX_PACKAGE_BYTES + rebar_manifest::MAX_FILES * 2_048;
/// Packages that are being read at one time; each is in memory as a whole, twice.
pub(crate) const IMPORTS: usize = 2;
/// Requests at one time that are answered at once.
pub(crate) const REQUESTS: usize = 256;
/// Requests at one time that wait or stream.
pub(crate) const STREAMS: usize = 1_024;
/// How long an ordinary request may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);
/// How long making or destroying a machine, or reading a package, may take.
pub(crate) const LONG_ANSWER: Duration = Duration::from_mins(20);
/// How long to wait where nobody says how long.
pub(crate) const WAIT: Span = Span::from_secs(30);
/// The longest wait of one request; who wants to wait longer asks again.
pub(crate) const WAIT_MOST: Span = Span::from_secs(600);
/// Between two looks of one waiting request: a busy engine changes many times a second, people do not read so fast.
pub(crate) const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// A node away for less is expected back: engines restart, machines boot.
pub const AWAY_GRACE: Span = Span::from_secs(60);
/// A new node is waited for this long.
pub(crate) const ARRIVAL_GRACE: Span = Span::from_secs(300);
/// Between two signs of life on an event stream.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events read from the store at once.
pub(crate) const EVENT_BATCH: u32 = 256;
/// Pieces of a log read at once.
pub(crate) const LOG_BATCH: u32 = 256;
/// How long after the end of an attempt a reader who follows its log waits for more of it.
pub(crate) const LINGER: Span = Span::from_millis(500);
/// Lines of a log in an explanation.
pub(crate) const LOG_LINES: usize = 20;
/// The longest line of a log in an explanation, in characters.
pub(crate) const LOG_LINE: usize = 400;
/// Node-roles named in an explanation, and causes.
pub(crate) const NAMED: usize = 20;
/// How far up a cause is followed.
pub(crate) const MAX_DEPTH: usize = 64;
/// The longest value shown in a line, in characters.
pub(crate) const SHOWN: usize = 60;
/// The longest name of a token.
pub(crate) const TOKEN_NAME: usize = 63;
/// The longest reason that a person may give, in characters.
pub(crate) const REASON: usize = 500;
/// How many agents go first in an upgrade where nobody says how many.
pub(crate) const CANARIES: u32 = 1;
/// The most agents that go first.
pub(crate) const CANARIES_MOST: u32 = 100;
/// How many agents are upgraded at once where nobody says how many: each is away for seconds, and fetches some megabytes.
pub(crate) const IN_FLIGHT: u32 = 10;
/// The most agents that are upgraded at once; well more than the transfers that the agents' door allows would only wait for them.
pub(crate) const IN_FLIGHT_MOST: u32 = 1_000;
/// How long an upgraded agent has to stay connected where nobody says how long.
pub(crate) const STABLE_FOR: Span = Span::from_secs(30);
/// The shortest such time. It has to be longer than the agent's own trial, 10 s, at whose end the agent comes once more.
pub(crate) const STABLE_FOR_LEAST: Span = Span::from_secs(15);
/// How long an agent may take to say that it is the new release: some megabytes over a line of 64 kbit/s take a quarter of an hour.
pub(crate) const REPORT_WITHIN: Span = Span::from_secs(1_800);
/// The longest of both.
pub(crate) const UPGRADE_SPAN_MOST: Span = Span::from_secs(7 * 24 * 3_600);
/// TLS handshakes at one time.
pub(crate) const HANDSHAKES: usize = 128;
/// Connections at one time.
pub(crate) const CONNECTIONS: usize = 2_048;
/// How long a TLS handshake may take.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the headers of a request may take.
pub(crate) const HEADERS: Duration = Duration::from_secs(10);
/// Requests at one time on one HTTP/2 connection.
pub(crate) const STREAMS_PER_CONNECTION: u32 = 128;
/// How long the door waits for its connections when the engine stops.
pub(crate) const STOP: Duration = Duration::from_secs(5);
/// The age at which the door's own certificate is replaced by a fresh one.
pub(crate) const IDENTITY_AGE: Span = Span::from_secs(24 * 3_600);
/// The wait before the next try when that went wrong.
pub(crate) const IDENTITY_RETRY: Span = Span::from_secs(600);
