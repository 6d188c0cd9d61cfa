//! What time it is, and which boot this is: the only place that asks.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "the agent has no port for the clock; this is the one place that asks")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The wire's form of a moment.
pub fn timestamp(at_ms: i64) -> prost_types::Timestamp {
    let nanos = i32::try_from(at_ms.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    prost_types::Timestamp { seconds: at_ms.div_euclid(1000), nanos }
}

/// A moment on the wire in milliseconds since 1970.
pub fn from_timestamp(timestamp: &prost_types::Timestamp) -> i64 {
    timestamp.seconds.saturating_mul(1000).saturating_add(i64::from(timestamp.nanos / 1_000_000))
}

/// A duration on the wire; absent and negative ones are nothing.
pub fn from_duration(duration: Option<&prost_types::Duration>) -> Option<Duration> {
    duration.and_then(|duration| Duration::try_from(*duration).ok()).filter(|duration| !duration.is_zero())
}

/// The wire's form of a duration.
pub fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// Changes with every boot of the machine. A container keeps the kernel's boot id over its own restarts, but not the moment at
/// which its first process started.
pub fn boot_id() -> String {
    if let Ok(path) = std::env::var("REBAR_AGENT_BOOT_ID_FILE") {
        return fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    }
    let kernel = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("{}+{}", kernel.trim(), process_start(1).unwrap_or(0))
}

/// When a process started, in the kernel's clock ticks since boot.
pub fn process_start(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program stands in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}
