//! How much of all logs may be on its way to the engine at one time. What is on its way stands before everything that is said later,
//! so on a slow line it must be little; on a fast one little would be slow. The line shows which it is: by how long the engine's
//! acknowledgement takes. However fast it is, an agent says no more of its logs in a second than the engine can keep for a fleet.
//! The time is an argument, counted from any moment.

use std::{collections::VecDeque, time::Duration};

use rebar_proto::MAX_CHUNK;

/// The window of a line that is not known yet.
const FIRST: u64 = 64 * 1024;
/// The smallest window: two seconds of a line of 64 kbit/s.
const MIN_WINDOW: u64 = 16 * 1024;
/// The largest window.
pub const MAX_WINDOW: u64 = 1024 * 1024;
/// How many bytes of logs an agent says in a second, in the long run. What a role writes faster waits on disk, and is thinned there.
pub const MAX_LOG_RATE: u64 = 4 * 1024 * 1024;
/// How many it may say at once after a quiet time.
pub const MAX_LOG_BURST: u64 = 2 * MAX_LOG_RATE;
/// An acknowledgement that takes longer says that the window is too large: everything else waits as long.
const SLOW: Duration = Duration::from_secs(2);
/// One that is faster says that there is room.
const FAST: Duration = Duration::from_secs(1);

/// What of all logs is on its way.
#[derive(Debug)]
pub struct Window {
    size: u64,
    flying: VecDeque<Flight>,
    flying_bytes: u64,
    shrunk_at: Option<Duration>,
    /// What may be said now, whatever the line is like.
    allowance: u64,
    filled_at: Duration,
}

/// A piece that is not acknowledged yet.
#[derive(Debug)]
struct Flight {
    attempt: u64,
    end: u64,
    bytes: u64,
    at: Duration,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            size: FIRST,
            flying: VecDeque::new(),
            flying_bytes: 0,
            shrunk_at: None,
            allowance: MAX_LOG_BURST,
            filled_at: Duration::ZERO,
        }
    }
}

impl Window {
    /// How long the next piece may be; nothing while enough is on its way, or enough has been said for now.
    pub fn room(&mut self, now: Duration) -> Option<usize> {
        self.fill(now);
        // Two pieces fill the window, so that the line does not stand still while one is acknowledged.
        let piece = usize::try_from(self.size / 2).map_or(MAX_CHUNK, |half| half.min(MAX_CHUNK));
        (self.flying_bytes < self.size && self.allowance >= piece as u64).then_some(piece)
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.filled_at);
        let earned = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX).saturating_mul(MAX_LOG_RATE) / 1_000_000;
        if earned > 0 {
            self.allowance = self.allowance.saturating_add(earned).min(MAX_LOG_BURST);
            self.filled_at = now;
        }
    }

    /// A piece of an attempt's log that ends here is on its way.
    pub fn sent(&mut self, attempt: u64, end: u64, bytes: u64, now: Duration) {
        self.flying_bytes += bytes;
        self.allowance = self.allowance.saturating_sub(bytes);
        self.flying.push_back(Flight { attempt, end, bytes, at: now });
    }

    /// The engine has an attempt's log up to here.
    pub fn acknowledged(&mut self, attempt: u64, offset: u64, now: Duration) {
        let was_used = self.flying_bytes >= self.size / 2;
        let mut latest = None;
        let arrived = self.remove(|flight| {
            let is_there = flight.attempt == attempt && flight.end <= offset;
            if is_there {
                latest = Some(flight.at);
            }
            is_there
        });
        let Some(took) = latest.map(|at| now.saturating_sub(at)) else { return };
        if took > SLOW {
            self.shrink(now);
        } else if took < FAST && was_used {
            self.size = (self.size + arrived).min(MAX_WINDOW);
        }
    }

    /// Nobody will hear of the rest of an attempt's log.
    pub fn forget(&mut self, attempt: u64) {
        self.remove(|flight| flight.attempt == attempt);
    }

    /// The session is over: nothing is on its way. What the line was like, the next one may be too.
    pub fn clear(&mut self) {
        self.flying.clear();
        self.flying_bytes = 0;
    }

    /// Halves the window, once for all that was sent before the last time.
    fn shrink(&mut self, now: Duration) {
        if self.shrunk_at.is_none_or(|at| now.saturating_sub(at) >= SLOW) {
            self.size = (self.size / 2).max(MIN_WINDOW);
            self.shrunk_at = Some(now);
        }
    }

    fn remove(&mut self, mut is_over: impl FnMut(&Flight) -> bool) -> u64 {
        let mut bytes = 0;
        self.flying.retain(|flight| {
            let over = is_over(flight);
            bytes += if over { flight.bytes } else { 0 };
            !over
        });
        self.flying_bytes -= bytes;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends through a line of so many bytes a second and with this round trip for a while; the window at the end, and what came
    /// through a second.
    fn line(rate: u64, round_trip: Duration) -> (u64, u64) {
        let mut window = Window::default();
        let (mut end, mut now, mut free_at) = (0, Duration::ZERO, Duration::ZERO);
        let mut arrivals = VecDeque::new();
        while now < Duration::from_mins(2) {
            while let Some(piece) = window.room(now) {
                let bytes = piece as u64;
                end += bytes;
                window.sent(1, end, bytes, now);
                free_at = free_at.max(now) + Duration::from_micros(bytes * 1_000_000 / rate);
                arrivals.push_back((free_at + round_trip, end));
            }
            let (at, offset) = arrivals.pop_front().expect("something is on its way");
            now = at;
            window.acknowledged(1, offset, now);
        }
        (window.size, end / 120)
    }

    #[test]
    fn a_slow_line_is_not_filled_and_a_fast_one_is() {
        let (size, through) = line(8_000, Duration::from_millis(400));
        assert_eq!(size, MIN_WINDOW);
        assert!(through > 7_000, "{through} of 8,000 bytes a second");
        let (size, through) = line(1_000_000_000, Duration::from_millis(400));
        assert_eq!(size, MAX_WINDOW);
        assert!(through > 2_000_000, "{through} bytes a second at 400 ms");
    }

    #[test]
    fn the_window_is_full_at_its_size_and_never_larger_than_the_largest() {
        let mut window = Window::default();
        window.sent(1, FIRST - 1, FIRST - 1, Duration::ZERO);
        assert!(window.room(Duration::ZERO).is_some());
        window.sent(2, 1, 1, Duration::ZERO);
        assert_eq!(window.room(Duration::ZERO), None);
        window.forget(2);
        assert!(window.room(Duration::ZERO).is_some());
        window.clear();
        for turn in 1..200_u64 {
            window.sent(1, turn * MAX_WINDOW, MAX_WINDOW, Duration::ZERO);
            window.acknowledged(1, turn * MAX_WINDOW, Duration::ZERO);
        }
        assert_eq!(window.size, MAX_WINDOW);
        assert_eq!(window.room(Duration::from_secs(1)), Some(MAX_CHUNK));
    }

    #[test]
    fn no_more_is_said_in_a_second_than_the_rate() {
        let mut window = Window::default();
        let mut say = |from: u64, until: u64| {
            let mut said = 0;
            for now in (from..until).map(Duration::from_millis) {
                while let Some(piece) = window.room(now) {
                    window.sent(1, 1, piece as u64, now);
                    window.acknowledged(1, 1, now);
                    said += piece as u64;
                }
            }
            said
        };
        let piece = MAX_CHUNK as u64;
        let at_once = say(0, 1);
        assert!(at_once <= MAX_LOG_BURST && at_once > MAX_LOG_BURST - piece, "{at_once}");
        let later = say(1, 10_001);
        assert!(later.abs_diff(10 * MAX_LOG_RATE) <= piece, "{later} in ten seconds");
        let after_a_rest = say(60_000, 60_001);
        assert!(after_a_rest <= MAX_LOG_BURST && after_a_rest > MAX_LOG_BURST - piece, "{after_a_rest}");
    }

    #[test]
    fn what_is_acknowledged_twice_or_of_another_attempt_changes_nothing() {
        let mut window = Window::default();
        window.sent(1, 10, 10, Duration::ZERO);
        window.acknowledged(2, 10, Duration::ZERO);
        assert_eq!(window.flying_bytes, 10);
        window.acknowledged(1, 10, Duration::ZERO);
        window.acknowledged(1, 10, Duration::from_secs(9));
        assert_eq!((window.flying_bytes, window.size), (0, FIRST));
    }
}
