//! The life of an agent: it runs until it is to become another release, tries that, and either becomes it or goes on. Whatever
//! happens in between, the next start finds out from the disk where it was.

use tokio_util::sync::CancellationToken;

use crate::{
    daemon::{self, Ended, Options},
    disk::layout::State,
    error::Error,
    release::{
        boot, is_on_trial,
        record::{Record, Standing},
        shelf::{self, Shelved},
        trial::{self, MAX_TRIES, Verdict},
    },
};

/// A release that is to be tried, and the upgrade that it belongs to.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What is known of the upgrade.
    pub record: Record,
    /// The release.
    pub release: Shelved,
}

/// Lives until cancelled, or as another program.
pub async fn live(options: &Options, stop: CancellationToken) -> Result<(), Error> {
    let state = State::open(&options.state)?;
    let mut next = pending(&state);
    while !stop.is_cancelled() {
        let candidate = match next.take() {
            Some(candidate) => candidate,
            None => match daemon::run(options, stop.clone()).await? {
                Ended::Stopped => break,
                Ended::ForTrial(candidate) => *candidate,
            },
        };
        match trial::run(&state, &candidate.release, &stop).await {
            Verdict::Kept => give_way(&state, &candidate),
            Verdict::Failed(reason) => remember(&state, &candidate.record.rolled_back(&reason)),
            Verdict::Stopped => break,
        }
    }
    Ok(())
}

/// The trial that this machine went down in, if it is to be gone on with.
fn pending(state: &State) -> Option<Candidate> {
    let record = match Record::load(state) {
        Ok(record) => record?,
        Err(error) => {
            tracing::error!(%error, "it is not known what became of the last upgrade");
            return None;
        }
    };
    let Standing::Trying { tries } = record.state else { return None };
    if is_on_trial() {
        return None;
    }
    if shelf::running().is_some_and(|it| it.statement.sha256 == record.sha256) {
        // It went down after it had become the release and before it wrote that down.
        remember(state, &Record { state: Standing::Kept, ..record });
        return None;
    }
    let Some(release) = Shelved::find(state, &record.sha256) else {
        remember(state, &record.rolled_back("its program is not on this machine any more"));
        return None;
    };
    if tries >= MAX_TRIES {
        remember(state, &record.rolled_back(&format!("its trial was interrupted {tries} times")));
        return None;
    }
    let record = Record { state: Standing::Trying { tries: tries + 1 }, ..record };
    remember(state, &record);
    Some(Candidate { record, release })
}

/// Becomes the release; returns only when that cannot be, and then nothing has changed.
fn give_way(state: &State, candidate: &Candidate) {
    let before = Shelved::current(state);
    let became = shelf::become_it(state, &candidate.release);
    let error = match became {
        Ok(()) => {
            remember(state, &Record { state: Standing::Kept, ..candidate.record.clone() });
            let olds = [before.as_ref(), shelf::running().as_ref()].map(|it| it.map(|it| it.statement.sha256.clone()));
            let mut keep: Vec<&str> = olds.iter().flatten().map(String::as_str).collect();
            keep.push(&candidate.release.statement.sha256);
            if let Err(error) = shelf::prune(state, &keep) {
                tracing::warn!(%error, "releases of before stay");
            }
            boot::exec(&candidate.release.program)
        }
        Err(error) => error,
    };
    let back = before.map_or_else(|| shelf::become_installed(state), |it| shelf::become_it(state, &it));
    if let Err(error) = back {
        tracing::error!(%error, "the next start may be another release");
    }
    remember(state, &candidate.record.rolled_back(&error.to_string()));
}

fn remember(state: &State, record: &Record) {
    if let Some(report) = record.report() {
        tracing::error!(upgrade = record.upgrade, reason = report.reason, "not the release that was ordered");
    }
    if let Err(error) = record.save(state) {
        tracing::error!(%error, "what became of an upgrade is not remembered");
    }
}
