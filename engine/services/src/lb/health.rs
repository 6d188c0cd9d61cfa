//! What is thought of a backend, from the results of checks alone. Pure; carrying checks out is in `check.rs`.

use std::time::Duration;

use serde::Serialize;

use crate::checks::Pace;

/// How many successes in a row bring a backend back that was down.
pub(crate) const RISE: u32 = 2;
/// How many failures in a row take a backend down.
pub(crate) const FALL: u32 = 3;

/// How often and how patiently backends are checked.
pub(crate) const PACE: Pace = Pace { interval: Duration::from_secs(1), timeout: Duration::from_secs(1) };

/// Whether a backend gets connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    /// No check has succeeded yet; the first one that does brings it up.
    #[default]
    Unknown,
    /// It does.
    Up,
    /// It does not.
    Down,
}

/// What is thought of a backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) status: Status,
    /// A connection failed since the last good check: others are preferred.
    pub(crate) suspect: bool,
    /// A check has ended, one way or the other.
    pub(crate) checked: bool,
    /// A check has succeeded once.
    pub(crate) proven: bool,
    /// Why the last check or connection failed; none after a good check.
    pub(crate) error: Option<String>,
    in_a_row: u32,
}

impl Health {
    /// Takes the result of a check; true if somebody may want to know.
    ///
    /// ```text
    /// unknown ── 1 good ──▶ up ── FALL bad in a row ──▶ down ── RISE good in a row ──▶ up
    /// ```
    pub(crate) fn observe(&mut self, result: Result<(), String>) -> bool {
        let before = (self.status, self.checked, self.proven, self.error.is_some());
        let good = result.is_ok();
        let turns = match (self.status, good) {
            (Status::Unknown, true) => Some(1),
            (Status::Up, false) => Some(FALL),
            (Status::Down, true) => Some(RISE),
            (Status::Unknown | Status::Down, false) | (Status::Up, true) => None,
        };
        self.in_a_row = if turns.is_some() { self.in_a_row + 1 } else { 0 };
        if turns == Some(self.in_a_row) {
            self.status = if good { Status::Up } else { Status::Down };
            self.in_a_row = 0;
        }
        self.checked = true;
        self.proven |= good;
        self.suspect &= !good;
        self.error = result.err();
        before != (self.status, self.checked, self.proven, self.error.is_some())
    }

    /// Takes the failure of a connection; true for the first since the last good check.
    pub(crate) fn suspect(&mut self, error: String) -> bool {
        self.error = Some(error);
        !std::mem::replace(&mut self.suspect, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(results: &str) -> Health {
        let mut health = Health::default();
        for it in results.chars() {
            health.observe(if it == '+' { Ok(()) } else { Err("no".into()) });
        }
        health
    }

    #[test]
    fn health_rises_and_falls() {
        for (results, status) in [
            ("", Status::Unknown),
            ("-----", Status::Unknown),
            ("-+", Status::Up),
            ("+--", Status::Up),
            ("+--+--", Status::Up),
            ("+---", Status::Down),
            ("+---+", Status::Down),
            ("+---+-+", Status::Down),
            ("+---++", Status::Up),
        ] {
            assert_eq!(after(results).status, status, "{results}");
        }
        assert!(after("+---").proven && !after("--").proven);
    }

    #[test]
    fn a_suspect_is_cleared_by_a_good_check() {
        let mut health = after("+");
        assert!(health.suspect("refused".into()));
        assert!(!health.suspect("refused".into()));
        assert!(health.suspect && health.status == Status::Up);
        health.observe(Ok(()));
        assert!(!health.suspect && health.error.is_none());
    }
}
