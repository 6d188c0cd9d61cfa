//! A machine under care: its disk with the agent's journal, and the supervisors that carry attempts out. It outlives the agent's
//! process; when it loses power, supervisors are gone and the disk is left.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rebar_link::{Recovered, RecoveredAttempt, RecoveredState};
use rebar_model::NodeName;
use rebar_proto::v1::{AttemptResult, Dispatch, Failed, FailureKind, Phase, Succeeded, attempt_result::Outcome};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{audit::Audit, chance::Chance};

/// What every secret begins with, so that it is known wherever it turns up.
pub(crate) const SECRET: &str = "hush-hush-";

/// How far an attempt on disk is.
#[derive(Clone)]
pub(crate) enum Stage {
    /// In the journal; nobody has begun it.
    Journalled,
    /// Somebody began it.
    Begun,
    /// Ended, with its result on disk.
    Ended(AttemptResult),
}

/// An attempt on disk.
pub(crate) struct Entry {
    pub(crate) dispatch: Dispatch,
    pub(crate) at_ms: i64,
    pub(crate) stage: Stage,
    /// The spool: records of the log that are still needed, by their offsets.
    pub(crate) log: BTreeMap<u64, Vec<u8>>,
    pub(crate) log_end: u64,
    kill: Arc<Notify>,
}

/// What survives the agent's process, and all of it but the supervisors a loss of power.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) epoch: u64,
    pub(crate) forgotten: Vec<u64>,
    pub(crate) attempts: BTreeMap<u64, Entry>,
    supervisors: BTreeMap<u64, JoinHandle<()>>,
    /// What was removed last, and is back when the power goes before the disk took note of it.
    removed: Option<Entry>,
    boots: u64,
}

/// A machine under care.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) name: NodeName,
    pub(crate) chance: Chance,
    pub(crate) audit: Audit,
    disk: Arc<Mutex<Disk>>,
    /// Something is new on disk.
    pub(crate) knock: Arc<Notify>,
}

impl Machine {
    pub(crate) fn new(name: NodeName, chance: Chance, audit: Audit) -> Self {
        Self { name, chance, audit, disk: Arc::default(), knock: Arc::default() }
    }

    pub(crate) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes with every boot.
    pub(crate) fn boot_id(&self) -> String {
        format!("boot-{}", self.disk().boots)
    }

    /// What an agent finds when it starts; what was in the journal and never begun is begun.
    pub(crate) fn recover(&self) -> Recovered {
        let startable: Vec<u64> = {
            let disk = self.disk();
            let of = |it: &&Entry| matches!(it.stage, Stage::Journalled);
            disk.attempts.values().filter(of).map(|it| it.dispatch.attempt).collect()
        };
        for attempt in startable {
            self.begin(attempt);
        }
        let disk = self.disk();
        let attempts = disk.attempts.iter().map(|(attempt, entry)| RecoveredAttempt {
            attempt: *attempt,
            node_role: entry.dispatch.node_role.clone(),
            log_from: entry.log.keys().next().copied().unwrap_or(entry.log_end),
            state: match &entry.stage {
                Stage::Ended(result) => RecoveredState::Finished(result.clone()),
                Stage::Journalled | Stage::Begun => RecoveredState::Running { at_ms: entry.at_ms },
            },
        });
        Recovered { epoch: disk.epoch, forgotten: disk.forgotten.clone(), attempts: attempts.collect() }
    }

    /// Puts an attempt into the journal.
    pub(crate) fn journal(&self, dispatch: Dispatch, at_ms: i64) {
        let entry = |dispatch| Entry {
            dispatch,
            at_ms,
            stage: Stage::Journalled,
            log: BTreeMap::new(),
            log_end: 0,
            kill: Arc::default(),
        };
        self.disk().attempts.insert(dispatch.attempt, entry(dispatch));
    }

    /// Keeps the result of an attempt that nobody will begin.
    pub(crate) fn keep(&self, result: AttemptResult) {
        let dispatch = Dispatch { attempt: result.attempt, ..Dispatch::default() };
        let attempt = result.attempt;
        self.journal(dispatch, 0);
        if let Some(entry) = self.disk().attempts.get_mut(&attempt) {
            entry.stage = Stage::Ended(result);
        }
    }

    /// Starts the supervisor of an attempt that is in the journal.
    pub(crate) fn begin(&self, attempt: u64) {
        let mut disk = self.disk();
        let Some(entry) = disk.attempts.get_mut(&attempt) else { return };
        entry.stage = Stage::Begun;
        self.audit.hands_out(&entry.dispatch);
        self.audit.begins(&self.name, attempt, &entry.dispatch.node_role);
        let task = self.clone().supervise(entry.dispatch.clone(), entry.kill.clone());
        disk.supervisors.insert(attempt, tokio::spawn(task));
    }

    /// Removes an attempt; the numbers of those that were removed are kept.
    pub(crate) fn forget(&self, attempt: u64, forgotten: Vec<u64>) {
        self.audit.forgets(attempt);
        let mut disk = self.disk();
        disk.removed = disk.attempts.remove(&attempt);
        disk.forgotten = forgotten;
    }

    /// Has a supervisor end its attempt.
    pub(crate) fn kill(&self, attempt: u64) {
        if let Some(entry) = self.disk().attempts.get(&attempt) {
            entry.kill.notify_one();
        }
    }

    /// The power goes: supervisors are gone. What was begun has failed when the machine is back.
    pub(crate) fn lose_power(&self) {
        let mut disk = self.disk();
        disk.boots += 1;
        for (attempt, supervisor) in std::mem::take(&mut disk.supervisors) {
            supervisor.abort();
            self.audit.ends(attempt);
        }
        if let Some(entry) = disk.removed.take().filter(|_| self.chance.hits(1, 2)) {
            let attempt = entry.dispatch.attempt;
            disk.forgotten.retain(|it| *it != attempt);
            disk.attempts.insert(attempt, entry);
        }
        for (attempt, entry) in &mut disk.attempts {
            if matches!(entry.stage, Stage::Begun) {
                let result = failed(*attempt, FailureKind::Error, "the machine went down");
                entry.stage = Stage::Ended(AttemptResult { log_bytes: entry.log_end, ..result });
            }
        }
    }

    /// Carries an attempt out: writes to its log, takes its time, and ends as chance wants it.
    async fn supervise(self, dispatch: Dispatch, kill: Arc<Notify>) {
        let attempt = dispatch.attempt;
        let work = async {
            let slow = self.chance.hits(self.chance.faults().failures, 400);
            let lines = self.chance.between(0..4);
            for line in 0..=lines {
                self.chance.pause(if slow { 20_000..60_000 } else { 1..1_200 }).await;
                self.write(attempt, format!("line {line} of {attempt}\n").as_bytes());
            }
        };
        let outcome = tokio::select! {
            biased;
            () = kill.notified() => {
                // A role that hangs is ended the hard way after a while.
                self.chance.pause(1..3_000).await;
                failed(attempt, FailureKind::Cancelled, "cancelled")
            }
            () = work => self.outcome(&dispatch),
        };
        let mut disk = self.disk();
        disk.supervisors.remove(&attempt);
        if let Some(entry) = disk.attempts.get_mut(&attempt) {
            entry.stage = Stage::Ended(AttemptResult { log_bytes: entry.log_end, ..outcome });
        }
        drop(disk);
        self.audit.ends(attempt);
        self.knock.notify_one();
    }

    fn write(&self, attempt: u64, bytes: &[u8]) {
        let mut disk = self.disk();
        let Some(entry) = disk.attempts.get_mut(&attempt) else { return };
        entry.log.insert(entry.log_end, bytes.to_vec());
        entry.log_end += bytes.len() as u64;
        drop(disk);
        self.audit.writes(attempt, bytes);
        self.knock.notify_one();
    }

    fn outcome(&self, dispatch: &Dispatch) -> AttemptResult {
        let attempt = dispatch.attempt;
        if self.chance.hits(self.chance.faults().failures, 100) {
            let kinds = [FailureKind::Error, FailureKind::Tempfail, FailureKind::Timeout, FailureKind::BadOutputs];
            let kind = self.chance.draw(|rng| rng.choice(kinds)).unwrap_or(FailureKind::Error);
            return failed(attempt, kind, "simulated");
        }
        // The output depends on some inputs only, so that some re-runs change nothing downstream.
        let inputs: Value = serde_json::from_str(&dispatch.inputs_json).unwrap_or_default();
        let seen = inputs.get("p").and_then(Value::as_u64).unwrap_or(0) / 2;
        let applies = dispatch.phases.iter().any(|it| it.phase() == Phase::Apply);
        let outputs = match dispatch.secret_outputs.iter().any(|it| it == "out") {
            _ if !applies => json!({}),
            true => json!({ "out": format!("{SECRET}{seen}") }),
            false => json!({ "out": seen }),
        };
        let succeeded = Succeeded { outputs_json: outputs.to_string(), converged: false, note: String::new() };
        AttemptResult { attempt, finished_at: None, outcome: Some(Outcome::Succeeded(succeeded)), log_bytes: 0 }
    }

    /// The attempts that a machine still holds something of.
    pub(crate) fn held(&self) -> Vec<u64> {
        self.disk().attempts.keys().copied().collect()
    }
}

/// The result of an attempt that failed.
pub(crate) fn failed(attempt: u64, kind: FailureKind, message: &str) -> AttemptResult {
    let failed = Failed {
        phase: Phase::Unspecified.into(),
        kind: kind.into(),
        exit_code: None,
        message: message.to_owned(),
        retry_after: None,
    };
    AttemptResult { attempt, finished_at: None, outcome: Some(Outcome::Failed(failed)), log_bytes: 0 }
}
