//! What the agents' door says to a connection for which it has no room: in plain text, before TLS, since the cryptography is what it
//! has no room for. It is HTTP, so that people and their tools can read it too. It is not signed: who receives it may wait as long
//! as it says, within bounds, and may believe nothing else of it.

use std::time::Duration;

/// The longest notice, in bytes.
pub const MAX_NOTICE: usize = 256;

const HEAD: &str = "HTTP/1.1 503 Service Unavailable\r\n";
const AFTER: &str = "Retry-After: ";

/// The notice that asks to come back after so long, in whole seconds and at least one.
pub fn notice(after: Duration) -> String {
    let seconds = after.as_millis().div_ceil(1_000).max(1);
    format!("{HEAD}{AFTER}{seconds}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

/// When to come back, if this is such a notice.
pub fn read_notice(bytes: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(bytes.get(..bytes.len().min(MAX_NOTICE))?).ok()?;
    let lines = text.strip_prefix(HEAD)?.split("\r\n");
    let seconds = lines.into_iter().find_map(|line| line.strip_prefix(AFTER))?;
    seconds.parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        for (said, heard) in [(0, 1), (1, 1), (999, 1), (1_001, 2), (60_000, 60)] {
            let notice = notice(Duration::from_millis(said));
            assert!(notice.len() <= MAX_NOTICE);
            assert_eq!(read_notice(notice.as_bytes()), Some(Duration::from_secs(heard)), "{notice}");
        }
    }

    #[test]
    fn anything_else_is_no_notice() {
        let long = format!("{HEAD}{}{AFTER}7\r\n", "X: y\r\n".repeat(MAX_NOTICE));
        for other in ["", "HTTP/1.1 200 OK\r\nRetry-After: 7\r\n", HEAD, &format!("{HEAD}{AFTER}soon\r\n"), &long] {
            assert_eq!(read_notice(other.as_bytes()), None, "{other}");
        }
        assert_eq!(read_notice(&[0x16, 3, 1, 0xff]), None);
    }
}
