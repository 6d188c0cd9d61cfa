//! A simulated agent: a journal that survives restarts, attempts that are run once, results that are offered until they are
//! acknowledged. It keeps the promises of `rebar-agent`; that the real one keeps them is tested with the real one.

use std::collections::{BTreeMap, BTreeSet};

use rebar_model::{AttemptId, Epoch, NodeRoleId, Report};

/// What the journal says about an attempt.
#[derive(Debug, Clone)]
pub enum Held {
    /// It is running.
    Running(NodeRoleId),
    /// It has ended.
    Finished(Report),
}

/// A simulated agent.
#[derive(Debug, Default)]
pub struct Agent {
    /// Whether its machine is up and reaches the engine.
    pub here: bool,
    /// Whether it is gone for good.
    pub dead: bool,
    /// Changes with every connection: what was sent over an older one is lost.
    pub session: u64,
    /// The highest epoch that it has obeyed.
    pub epoch: Epoch,
    /// Its journal.
    pub journal: BTreeMap<AttemptId, Held>,
    /// Every attempt that it ever started.
    pub started: BTreeSet<AttemptId>,
}

impl Agent {
    /// Takes a dispatch: true if the attempt is to be started, which happens once.
    pub fn dispatch(&mut self, attempt: AttemptId, epoch: Epoch, id: &NodeRoleId) -> bool {
        if epoch < self.epoch || self.started.contains(&attempt) {
            return false;
        }
        self.epoch = epoch;
        // A new attempt of a node-role ends the one before.
        for held in self.journal.values_mut() {
            if matches!(held, Held::Running(other) if other == id) {
                *held = Held::Finished(Report::Cancelled);
            }
        }
        self.started.insert(attempt);
        self.journal.insert(attempt, Held::Running(id.clone()));
        true
    }

    /// Ends an attempt, unless it has ended already.
    pub fn finish(&mut self, attempt: AttemptId, report: Report) -> bool {
        match self.journal.get_mut(&attempt) {
            Some(held @ Held::Running(_)) => {
                *held = Held::Finished(report);
                true
            }
            _ => false,
        }
    }

    /// The attempts that it says it holds.
    pub fn held(&self) -> Vec<AttemptId> {
        self.journal.keys().copied().collect()
    }

    /// The results that nobody acknowledged.
    pub fn unacknowledged(&self) -> Vec<(AttemptId, Report)> {
        let finished = |held: &Held| match held {
            Held::Finished(report) => Some(report.clone()),
            Held::Running(_) => None,
        };
        self.journal.iter().filter_map(|(id, held)| Some((*id, finished(held)?))).collect()
    }
}
