//! The journal: an attempt is in it before it starts and until the engine has all of it. What a restarted agent makes of what it
//! finds is decided here; doing it is the daemon's.

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt};

use prost::Message as _;
use rebar_link::MAX_FORGOTTEN;
use rebar_proto::v1::{AttemptResult, Dispatch, Failed, FailureKind, Phase, attempt_result};

use crate::{
    clock,
    disk::{
        durable::{self, Once},
        layout::{AttemptDir, State},
        spool,
        status::{self, Status, Supervisor},
    },
    error::{Context, Error},
    helper,
};

/// How much of the file a number of an attempt takes that is done with.
const FORGOTTEN: usize = 16;

/// One entry of the journal, as it lies on disk.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    /// The order, without the inputs: those may hold secrets, and lie in memory while the attempt runs.
    #[prost(message, optional, tag = "1")]
    pub dispatch: Option<Dispatch>,
    /// The boot in which it was written.
    #[prost(string, tag = "2")]
    pub boot_id: String,
    /// When it was written, in milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub at_ms: i64,
    /// The agent that it was ordered from: a release that is needed as long as the attempt is here.
    #[prost(string, tag = "4")]
    pub program: String,
}

/// An attempt that a restarted agent finds.
#[derive(Debug)]
pub struct Found {
    /// Where.
    pub dir: AttemptDir,
    /// Which node-role it belongs to; empty when only its result is left.
    pub node_role: String,
    /// When it was journalled.
    pub at_ms: i64,
    /// What to make of it.
    pub condition: Condition,
}

/// What to make of an attempt that was found.
#[derive(Debug)]
pub enum Condition {
    /// It has ended.
    Ended(AttemptResult),
    /// Its supervisor lives.
    Supervised,
    /// Nothing has been run yet, or the reboot that it asked for is over: start its supervisor.
    Startable,
    /// It asked for a reboot that has not come.
    AwaitsReboot,
    /// It was running and has no supervisor.
    Orphaned,
}

/// Puts an attempt into the journal. When this returns, it will be run at most once, whatever happens.
pub fn enter(dir: &AttemptDir, dispatch: &Dispatch, boot_id: &str) -> Result<i64, Error> {
    let at_ms = clock::now_ms();
    let dispatch = Dispatch { inputs_json: String::new(), ..dispatch.clone() };
    let program = helper::program()?.to_string_lossy().into_owned();
    let entry = Entry { dispatch: Some(dispatch), boot_id: boot_id.to_owned(), at_ms, program };
    durable::write_once(&dir.dispatch(), &entry.encode_to_vec())?;
    durable::sync_parent(dir.root())?;
    Ok(at_ms)
}

/// Reads the entry of an attempt.
pub fn read(dir: &AttemptDir) -> Result<Option<(Dispatch, Entry)>, Error> {
    let path = dir.dispatch();
    let bytes = match durable::read_once(&path)? {
        Once::Whole(bytes) => bytes,
        // Of what was damaged later something may have been run.
        Once::Torn if dir.status().exists() => {
            return Err(Error::Broken { path, reason: "it is not what was written".to_owned() });
        }
        Once::Missing | Once::Torn => return Ok(None),
    };
    let mut entry = Entry::decode(bytes.as_slice())
        .map_err(|error| Error::Broken { path: path.clone(), reason: error.to_string() })?;
    let dispatch = entry.dispatch.take().ok_or(Error::Broken { path, reason: "there is no order in it".to_owned() })?;
    Ok(Some((dispatch, entry)))
}

/// Keeps a result until it is acknowledged.
pub fn write_result(dir: &AttemptDir, result: &AttemptResult) -> Result<(), Error> {
    durable::write_once(&dir.result(), &result.encode_to_vec())
}

/// The result of an attempt, if it has ended.
pub fn read_result(dir: &AttemptDir) -> Result<Option<AttemptResult>, Error> {
    let path = dir.result();
    let Once::Whole(bytes) = durable::read_once(&path)? else { return Ok(None) };
    AttemptResult::decode(bytes.as_slice()).map(Some).map_err(|error| Error::Broken { path, reason: error.to_string() })
}

/// Everything that the journal holds. What is not an attempt, or was not yet one, is removed.
pub fn recover(state: &State, boot_id: &str) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    for dir in state.list()? {
        match examine(&dir, boot_id) {
            Ok(Some((node_role, at_ms, condition))) => found.push(Found { dir, node_role, at_ms, condition }),
            Ok(None) => {
                if let Err(error) = dir.remove() {
                    tracing::warn!(attempt = dir.attempt(), %error, "leftover stays");
                }
            }
            Err(error) => {
                tracing::warn!(attempt = dir.attempt(), %error, "unreadable attempt");
                let (node_role, at_ms) = (String::new(), 0);
                found.push(Found { dir, node_role, at_ms, condition: Condition::Orphaned });
            }
        }
    }
    Ok(found)
}

fn examine(dir: &AttemptDir, boot_id: &str) -> Result<Option<(String, i64, Condition)>, Error> {
    let entry = read(dir)?;
    // The look at the supervisor comes first: one that has gone by then has written its result before.
    let supervisor = status::supervisor(dir)?;
    if let Some(result) = read_result(dir)? {
        let (node_role, at_ms) =
            entry.map_or((String::new(), 0), |(dispatch, entry)| (dispatch.node_role, entry.at_ms));
        return Ok(Some((node_role, at_ms, Condition::Ended(result))));
    }
    let Some((dispatch, entry)) = entry else { return Ok(None) };
    let condition = match (supervisor, status::read(dir)?) {
        (Supervisor::Alive, _) => Condition::Supervised,
        (Supervisor::Gone, None) if entry.boot_id == boot_id => Condition::Startable,
        (Supervisor::Gone, Some(status)) if status.resume.is_some() && status.boot_id == boot_id => {
            Condition::AwaitsReboot
        }
        (Supervisor::Gone, Some(status)) if status.resume.is_some() => Condition::Startable,
        (Supervisor::Gone, _) => Condition::Orphaned,
    };
    Ok(Some((dispatch.node_role, entry.at_ms, condition)))
}

/// What to make of an attempt whose supervisor is not there any more.
pub fn look_again(dir: &AttemptDir, boot_id: &str) -> Condition {
    match examine(dir, boot_id) {
        Ok(Some((_, _, condition))) => condition,
        Ok(None) | Err(_) => Condition::Orphaned,
    }
}

/// The result of an attempt that can not have one of its own.
pub fn failure(dir: &AttemptDir, kind: FailureKind, message: String) -> AttemptResult {
    let phase = current_phase(dir).unwrap_or(Phase::Unspecified);
    let failed = Failed { phase: phase.into(), kind: kind.into(), exit_code: None, message, retry_after: None };
    AttemptResult {
        attempt: dir.attempt(),
        finished_at: Some(clock::timestamp(clock::now_ms())),
        outcome: Some(attempt_result::Outcome::Failed(failed)),
        log_bytes: spool::end(&dir.log()).unwrap_or(0),
    }
}

/// The phase that an attempt was in when it was last heard of.
pub fn current_phase(dir: &AttemptDir) -> Option<Phase> {
    let (dispatch, _) = read(dir).ok()??;
    let Status { phase, .. } = status::read(dir).ok().flatten().unwrap_or_default();
    Phase::try_from(dispatch.phases.get(phase)?.phase).ok()
}

/// The highest epoch obeyed.
pub fn read_epoch(state: &State) -> Result<u64, Error> {
    let path = state.epoch();
    let Some(bytes) = durable::read(&path)? else { return Ok(0) };
    let text = String::from_utf8_lossy(&bytes);
    text.trim().parse().map_err(|_| Error::Broken { path, reason: "not a number".to_owned() })
}

/// Remembers the highest epoch obeyed.
pub fn write_epoch(state: &State, epoch: u64) -> Result<(), Error> {
    durable::write(&state.epoch(), epoch.to_string().as_bytes())
}

/// Attempts that are done with, oldest first.
pub fn read_forgotten(state: &State) -> Vec<u64> {
    let bytes = durable::read(&state.forgotten()).ok().flatten().unwrap_or_default();
    let numbers = bytes.as_chunks::<FORGOTTEN>().0.iter().filter_map(|it| {
        let (number, check) = it.as_chunks::<8>().0.first().zip(it.as_chunks::<8>().0.last())?;
        let (number, check) = (u64::from_le_bytes(*number), u64::from_le_bytes(*check));
        (number == !check).then_some(number)
    });
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.split_off(numbers.len().saturating_sub(MAX_FORGOTTEN))
}

/// Remembers another attempt that is done with; `all` are those that are to be remembered now. It guards against orders that come
/// late, which is worth a write but not a wait for the disk.
pub fn remember_forgotten(state: &State, attempt: u64, all: impl Iterator<Item = u64>) -> Result<(), Error> {
    let path = state.forgotten();
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).at(&path)?;
    let length = usize::try_from(file.metadata().at(&path)?.len()).unwrap_or(usize::MAX);
    if length.is_multiple_of(FORGOTTEN) && length < 2 * MAX_FORGOTTEN * FORGOTTEN {
        return file.write_all(&forgotten(attempt)).at(&path);
    }
    let all: Vec<u8> = all.flat_map(forgotten).collect();
    durable::replace(&path, &all)
}

/// A number and its complement: what a power cut left in the place of one is none.
fn forgotten(attempt: u64) -> [u8; FORGOTTEN] {
    let mut record = [0; FORGOTTEN];
    record[..8].copy_from_slice(&attempt.to_le_bytes());
    record[8..].copy_from_slice(&(!attempt).to_le_bytes());
    record
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Whatever order files go in, an attempt whose removal was cut short after its order is not started again.
    #[test]
    fn what_is_left_of_a_removal_is_never_started() {
        let directory = tempfile::tempdir().expect("directory");
        let state = State::open(directory.path()).expect("state");
        for left in 0..8_u32 {
            let dir = state.attempt(7);
            dir.create().expect("made");
            enter(&dir, &Dispatch { attempt: 7, ..Dispatch::default() }, "boot").expect("entered");
            status::write(&dir, &Status::default()).expect("status");
            write_result(&dir, &failure(&dir, FailureKind::Error, "it failed".to_owned())).expect("result");
            // The first thing that `remove` does, and then any of the others.
            durable::remove(&dir.dispatch()).expect("order removed");
            for (at, path) in [dir.result(), dir.status(), dir.work()].into_iter().enumerate() {
                if left & (1 << at) == 0 {
                    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                    removed.expect("removed");
                }
            }
            let found = recover(&state, "boot").expect("recovered");
            let is_ended = |it: &Found| matches!(it.condition, Condition::Ended(_));
            assert!(found.iter().all(is_ended), "{left}: {found:?}");
        }
    }

    #[test]
    fn an_order_that_is_not_whole_was_never_given_unless_somebody_began_it() {
        let directory = tempfile::tempdir().expect("directory");
        let state = State::open(directory.path()).expect("state");
        let dir = state.attempt(7);
        let tear = || {
            dir.create().expect("made");
            enter(&dir, &Dispatch { attempt: 7, ..Dispatch::default() }, "boot").expect("entered");
            let whole = fs::read(dir.dispatch()).expect("order");
            fs::write(dir.dispatch(), &whole[..whole.len() - 1]).expect("torn");
        };
        tear();
        assert!(recover(&state, "boot").expect("recovered").is_empty());
        assert!(!dir.root().exists());
        tear();
        status::write(&dir, &Status::default()).expect("status");
        let found = recover(&state, "boot").expect("recovered");
        assert!(matches!(found[..], [Found { condition: Condition::Orphaned, .. }]), "{found:?}");
    }

    #[test]
    fn a_result_that_is_not_whole_is_none() {
        let directory = tempfile::tempdir().expect("directory");
        let dir = State::open(directory.path()).expect("state").attempt(7);
        dir.create().expect("made");
        let result = failure(&dir, FailureKind::Error, "it failed".to_owned());
        write_result(&dir, &result).expect("written");
        assert_eq!(read_result(&dir).expect("read"), Some(result));
        let whole = fs::read(dir.result()).expect("result");
        for length in 0..whole.len() {
            fs::write(dir.result(), &whole[..length]).expect("torn");
            assert_eq!(read_result(&dir).expect("read"), None, "{length}");
        }
    }

    #[test]
    fn the_last_attempts_that_are_done_with_are_remembered() {
        let directory = tempfile::tempdir().expect("directory");
        let state = State::open(directory.path()).expect("state");
        let last = 5 * MAX_FORGOTTEN as u64;
        for attempt in 1..=last {
            let all = (attempt + 1).saturating_sub(MAX_FORGOTTEN as u64).max(1)..=attempt;
            remember_forgotten(&state, attempt, all).expect("remembered");
        }
        let wanted: Vec<u64> = (last - MAX_FORGOTTEN as u64 + 1..=last).collect();
        assert_eq!(read_forgotten(&state), wanted);
        let length = fs::metadata(state.forgotten()).expect("file").len();
        assert!(length <= (2 * MAX_FORGOTTEN * FORGOTTEN) as u64, "{length}");
        let mut torn = fs::read(state.forgotten()).expect("file");
        torn.truncate(torn.len() - 1);
        fs::write(state.forgotten(), torn).expect("torn");
        assert_eq!(read_forgotten(&state).last(), Some(&(last - 1)));
        remember_forgotten(&state, last + 1, [last, last + 1].into_iter()).expect("remembered");
        assert_eq!(read_forgotten(&state), [last, last + 1], "what was torn is written anew");
    }

    #[test]
    fn a_removal_takes_the_order_first() {
        let directory = tempfile::tempdir().expect("directory");
        let state = State::open(directory.path()).expect("state");
        let dir = state.attempt(7);
        dir.create().expect("made");
        enter(&dir, &Dispatch { attempt: 7, ..Dispatch::default() }, "boot").expect("entered");
        // A directory in its place cannot be removed as a file, so the removal ends at its first step.
        fs::remove_file(dir.dispatch()).expect("removed");
        fs::create_dir(dir.dispatch()).expect("made");
        write_result(&dir, &failure(&dir, FailureKind::Error, "it failed".to_owned())).expect("result");
        assert!(dir.remove().is_err());
        assert!(dir.result().exists() && dir.work().exists());
    }
}
