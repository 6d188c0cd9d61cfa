//! The way of a role's words: secrets out, onto the disk, a knock at the agent's door.

use rebar_proto::v1::Phase;

use crate::{
    clock,
    disk::{budget::Budget, layout::AttemptDir, spool},
    error::Error,
    redact::Redactor,
    supervise::{Knock, outputs::Watch},
};

/// How much of the last line is kept for the message of a failure.
const MAX_LAST_LINE: usize = 300;

/// The log of an attempt.
#[derive(Debug)]
pub(crate) struct Log {
    writer: spool::Writer,
    pub(crate) redactor: Redactor,
    watch: Option<Watch>,
    knock: Knock,
    line: Vec<u8>,
    last_line: Vec<u8>,
}

impl Log {
    pub(crate) fn open(dir: &AttemptDir, budget: Budget, knock: Knock) -> Result<Self, Error> {
        Ok(Self {
            writer: spool::Writer::open(&dir.log(), budget)?,
            redactor: Redactor::new(),
            watch: None,
            knock,
            line: Vec::new(),
            last_line: Vec::new(),
        })
    }

    /// Takes secret outputs out as well, from when they are written.
    pub(crate) fn watch(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    /// What a process of the role has written.
    pub(crate) fn write(&mut self, phase: Phase, bytes: &[u8]) -> Result<(), Error> {
        if let Some(watch) = &mut self.watch {
            watch.look(&mut self.redactor);
        }
        let shown = self.redactor.push(bytes);
        self.keep(phase, &shown)
    }

    /// The process has ended: nothing is held back any longer.
    pub(crate) fn flush(&mut self, phase: Phase) -> Result<(), Error> {
        let shown = self.redactor.flush();
        self.keep(phase, &shown)?;
        self.end_line();
        Ok(())
    }

    /// The last line that the role wrote with something in it.
    pub(crate) fn last_line(&self) -> String {
        String::from_utf8_lossy(&self.last_line).trim().to_owned()
    }

    pub(crate) fn forget_last_line(&mut self) {
        self.last_line.clear();
    }

    /// Looks for secrets written since the last word, then returns a text without any.
    pub(crate) fn without_secrets(&mut self, text: &str) -> String {
        if let Some(watch) = &mut self.watch {
            watch.look(&mut self.redactor);
        }
        self.redactor.text(text)
    }

    pub(crate) fn end(&self) -> u64 {
        self.writer.end()
    }

    /// Returns when what was said would survive a power cut: the result, which is told next, says how long the log is.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        if self.end() == 0 { Ok(()) } else { self.writer.sync() }
    }

    pub(crate) fn knock(&self) {
        self.knock.knock();
    }

    fn keep(&mut self, phase: Phase, shown: &[u8]) -> Result<(), Error> {
        if shown.is_empty() {
            return Ok(());
        }
        self.writer.append(phase.into(), clock::now_ms(), shown)?;
        self.knock.knock();
        for byte in shown {
            match byte {
                b'\n' | b'\r' => self.end_line(),
                byte if self.line.len() < MAX_LAST_LINE => self.line.push(*byte),
                _ => {}
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.trim_ascii().is_empty() {
            self.last_line = line;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::budget::MAX_SPOOLS;
    use crate::disk::layout::State;

    #[test]
    fn the_last_line_is_cut_where_it_is_too_long_and_the_log_has_all_of_it() {
        let state = tempfile::tempdir().expect("directory");
        let root = state.path().join("attempts/1");
        std::fs::create_dir_all(&root).expect("directory");
        let dir = State::at(state.path()).expect("state").attempt(1);
        let mut log = Log::open(&dir, Budget::of(&dir, MAX_SPOOLS), Knock::new(&dir)).expect("log");
        let (fits, too_long) = ("a".repeat(MAX_LAST_LINE), "b".repeat(MAX_LAST_LINE + 1));
        for (line, last) in [(&fits, fits.as_str()), (&too_long, &too_long[..MAX_LAST_LINE])] {
            log.write(Phase::Apply, format!("{line}\n").as_bytes()).expect("written");
            assert_eq!(log.last_line(), last);
        }
        let mut reader = spool::Reader::new(&dir.log(), 0);
        let records = std::iter::from_fn(|| reader.next(usize::MAX).expect("readable"));
        let all: Vec<u8> = records.flat_map(|record| record.data).collect();
        assert_eq!(String::from_utf8(all).expect("text"), format!("{fits}\n{too_long}\n"));
    }
}
