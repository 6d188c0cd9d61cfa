//! What the logs of all attempts may take on disk together, and what goes first when it is too much: never a result or the journal,
//! which are not logs; of logs the middle before the beginning and the end, of the largest log first; at last the whole of logs that
//! have ended, but for their last words. Every supervisor keeps to it by itself, whether or not the agent runs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    disk::{layout::AttemptDir, spool},
    error::Error,
};

/// The most that the log of one attempt takes on disk.
pub const MAX_SPOOL: u64 = 64 * 1024 * 1024;
/// The most that the logs of all attempts take on disk, where nothing else is said.
pub const MAX_SPOOLS: u64 = 256 * 1024 * 1024;
/// The least that they may be given: a beginning and an end of a few logs.
pub const LEAST_SPOOLS: u64 = 4 * spool::SEGMENT;
/// What logs leave free on the disk, for results and the journal; of a small disk it is an eighth.
const FREE: u64 = 64 * 1024 * 1024;

/// What logs may take.
#[derive(Debug, Clone)]
pub struct Budget {
    attempts: PathBuf,
    most: u64,
}

/// A log on disk.
struct Spool {
    log: PathBuf,
    size: u64,
    has_ended: bool,
}

impl Budget {
    /// What the logs below this directory of attempts may take together.
    pub fn new(attempts: &Path, most: u64) -> Self {
        Self { attempts: attempts.to_owned(), most: most.max(LEAST_SPOOLS) }
    }

    /// The budget that an attempt's log is part of.
    pub fn of(dir: &AttemptDir, most: u64) -> Self {
        Self::new(dir.root().parent().unwrap_or(dir.root()), most)
    }

    /// Thins logs until there is room for another segment of this one. Best effort: a log that cannot be thinned is no reason for an
    /// attempt to fail.
    pub fn keep(&self, log: &Path) {
        if let Err(error) = self.try_keep(log) {
            tracing::warn!(%error, "logs not thinned");
        }
    }

    /// Takes from logs whatever can be taken, because the disk is full.
    pub fn make_room(&self, log: &Path) {
        let made = self.spools(log).and_then(|spools| {
            for spool in spools {
                while spool::thin(&spool.log)? {}
                if spool.has_ended {
                    spool::shorten(&spool.log)?;
                }
            }
            Ok(())
        });
        if let Err(error) = made {
            tracing::warn!(%error, "no room made on the disk");
        }
    }

    fn try_keep(&self, log: &Path) -> Result<(), Error> {
        while spool::size(log)? + spool::SEGMENT > MAX_SPOOL && spool::thin(log)? {}
        let mut spools = self.spools(log)?;
        while self.is_too_much(&spools) {
            spools.sort_by_key(|spool| spool.size);
            let Some(largest) = take_from_largest(&spools)? else { break };
            spools[largest].size = spool::size(&spools[largest].log)?;
        }
        Ok(())
    }

    fn is_too_much(&self, spools: &[Spool]) -> bool {
        let taken: u64 = spools.iter().map(|spool| spool.size).sum();
        taken.saturating_add(spool::SEGMENT) > self.most || (taken > 0 && is_short_of_disk(&self.attempts))
    }

    /// The logs of all attempts, and this one.
    fn spools(&self, log: &Path) -> Result<Vec<Spool>, Error> {
        let mut found = vec![Spool { log: log.to_owned(), size: spool::size(log)?, has_ended: false }];
        // Without its neighbours a log keeps to its own limit at least.
        for entry in fs::read_dir(&self.attempts).into_iter().flatten().flatten() {
            let other = entry.path().join("log");
            if other != log && other.is_dir() {
                let has_ended = entry.path().join("result.pb").exists();
                found.push(Spool { size: spool::size(&other)?, log: other, has_ended });
            }
        }
        Ok(found)
    }
}

/// Takes a piece from the largest log of which something can be taken, and says which that is.
fn take_from_largest(by_size: &[Spool]) -> Result<Option<usize>, Error> {
    for (index, spool) in by_size.iter().enumerate().rev() {
        if spool::thin(&spool.log)? {
            return Ok(Some(index));
        }
    }
    for (index, spool) in by_size.iter().enumerate().rev().filter(|(_, spool)| spool.has_ended) {
        if spool::shorten(&spool.log)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// Whether less is free than results and the journal are to have.
fn is_short_of_disk(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|disk| {
        let of = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        of(disk.f_bavail) < FREE.min(of(disk.f_blocks) / 8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::spool::{Reader, SEGMENT, Writer};

    struct Attempts(tempfile::TempDir);

    impl Attempts {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("directory"))
        }

        fn log(&self, attempt: u64) -> PathBuf {
            let log = self.0.path().join(attempt.to_string()).join("log");
            fs::create_dir_all(&log).expect("directory");
            log
        }

        fn end(&self, attempt: u64) {
            fs::write(self.0.path().join(attempt.to_string()).join("result.pb"), "").expect("result");
        }

        fn write(&self, attempt: u64, bytes: u64, most: u64) -> u64 {
            let mut writer = Writer::open(&self.log(attempt), Budget::new(self.0.path(), most)).expect("writer");
            while writer.end() < bytes {
                writer.append(3, 0, &[b'x'; 4096]).expect("append");
            }
            writer.end()
        }

        fn size(&self, attempts: std::ops::Range<u64>) -> u64 {
            attempts.map(|attempt| spool::size(&self.log(attempt)).expect("size")).sum()
        }

        /// How much a reader gets of a log, and how much it is told to be lost.
        fn read(&self, attempt: u64) -> (u64, u64) {
            let mut reader = Reader::new(&self.log(attempt), 0);
            let records = std::iter::from_fn(|| reader.next(usize::MAX).expect("readable"));
            records.fold((0, 0), |(read, lost), it| (read + it.data.len() as u64, lost + it.lost))
        }
    }

    #[test]
    fn a_full_spool_loses_its_middle_and_says_how_much() {
        let attempts = Attempts::new();
        let end = attempts.write(1, MAX_SPOOL / 2, u64::MAX);
        assert_eq!(attempts.read(1), (end, 0), "up to the limit nothing is lost");
        let end = attempts.write(1, MAX_SPOOL + MAX_SPOOL / 4, u64::MAX);
        assert!(attempts.size(1..2) <= MAX_SPOOL + 8 * 1024);
        let (read, lost) = attempts.read(1);
        assert_eq!(read + lost, end);
        assert!(lost >= MAX_SPOOL / 4);
    }

    #[test]
    fn all_logs_together_keep_to_their_budget_and_the_largest_gives_first() {
        let attempts = Attempts::new();
        let most = 16 * SEGMENT;
        let small = attempts.write(1, SEGMENT, most);
        let large = attempts.write(2, 12 * SEGMENT, most);
        assert_eq!(attempts.read(2), (large, 0), "up to the limit nothing is lost");
        attempts.write(3, 12 * SEGMENT, most);
        // One segment that is being written may be a record longer.
        assert!(attempts.size(1..4) <= most + 8 * 1024, "{}", attempts.size(1..4));
        assert_eq!(attempts.read(1), (small, 0), "a small one keeps what it has");
        for attempt in [2, 3] {
            let (read, lost) = attempts.read(attempt);
            assert_eq!((read + lost, lost > 0), (large, true), "attempt {attempt}");
        }
    }

    #[test]
    fn of_many_logs_that_have_ended_the_last_words_stay() {
        let attempts = Attempts::new();
        let end = attempts.write(1, SEGMENT / 2, LEAST_SPOOLS);
        for attempt in 1..40 {
            attempts.write(attempt, SEGMENT / 2, LEAST_SPOOLS);
            attempts.end(attempt);
        }
        assert!(attempts.size(1..40) <= LEAST_SPOOLS + SEGMENT, "{}", attempts.size(1..40));
        for attempt in 1..40 {
            let (read, lost) = attempts.read(attempt);
            assert_eq!(read + lost, end, "attempt {attempt}");
            assert!(read > 0, "attempt {attempt}");
        }
    }
}
