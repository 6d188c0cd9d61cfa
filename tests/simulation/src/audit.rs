//! The auditor: sees every commit and everything that happens on machines, and says at once what must never be. It knows nothing of
//! how the engine, the link or the network go about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rebar_model::{AttemptId, AttemptKind, Change, NodeName, NodeRoleId, Record, RoleName, SecretRef, State, World};
use rebar_proto::v1::Dispatch;
use rebar_scheduler::invariants;
use serde_json::Value;

use crate::machine::SECRET;

/// The auditor.
#[derive(Clone, Default)]
pub(crate) struct Audit {
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
struct Books {
    /// What follows from everything that was committed.
    world: World,
    history: Vec<Record>,
    /// Attempts that have an end in history.
    ended: BTreeSet<AttemptId>,
    /// Attempts that history knows.
    known: BTreeSet<AttemptId>,
    /// Which node-role each attempt is of, and on which machine it was started.
    started: BTreeMap<u64, (String, NodeName)>,
    /// What machines do at this moment: the attempt of each node-role.
    busy: BTreeMap<String, u64>,
    /// The protected roles that the operator named at some time.
    named: BTreeSet<RoleName>,
    /// The logs that attempts wrote.
    written: BTreeMap<u64, Vec<u8>>,
    /// Machines on which something ended without its engine hearing of it, since they are gone for good.
    lost: BTreeSet<NodeName>,
}

impl Audit {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operator is about to name these roles.
    pub(crate) fn named(&self, roles: &[RoleName]) {
        self.books().named.extend(roles.iter().cloned());
    }

    /// A store took these changes.
    pub(crate) fn committed(&self, records: &[Record]) {
        let mut books = self.books();
        for record in records {
            let starts = books.starts(&record.change);
            let applied = books.world.apply_record(record);
            assert!(applied.is_ok(), "what is committed does not fit what was: {applied:?}");
            match &record.change {
                Change::AttemptPut { attempt } if attempt.outcome.is_some() => {
                    assert!(books.ended.insert(attempt.id), "{} ended twice", attempt.id);
                }
                Change::AttemptPut { attempt } if attempt.accepted_at.is_none() => {
                    books.known.insert(attempt.id);
                    books.assert_named(attempt);
                }
                _ => {}
            }
            if let Some(id) = starts {
                assert_eq!(invariants::started_too_early(&books.world, &id), None);
            }
            books.history.push(record.clone());
        }
        let violations = invariants::violations(&books.world);
        assert!(violations.is_empty(), "{violations:?}");
    }

    /// A machine was handed an attempt: secrets open only where a role declares them, and only as secrets.
    pub(crate) fn hands_out(&self, dispatch: &Dispatch) {
        let books = self.books();
        let attempt = books.world.attempts().get(&AttemptId(dispatch.attempt));
        let role = attempt.and_then(|it| books.world.role_carried_out(it));
        let inputs: BTreeMap<String, Value> = serde_json::from_str(&dispatch.inputs_json).unwrap_or_default();
        for (name, value) in inputs {
            let declared = role.is_none_or(|it| it.manifest.spec.inputs.keys().any(|it| it.as_str() == name));
            assert!(declared, "input `{name}` was handed out, and its role does not declare it");
            assert!(SecretRef::from_value(&value).is_none(), "input `{name}` was handed out sealed");
            if value.to_string().contains(SECRET) {
                assert!(dispatch.secret_inputs.contains(&name), "input `{name}` is a secret, and not said to be one");
            }
        }
    }

    /// A machine begins an attempt.
    pub(crate) fn begins(&self, machine: &NodeName, attempt: u64, node_role: &str) {
        let mut books = self.books();
        assert!(books.known.contains(&AttemptId(attempt)), "attempt {attempt} was let out before it was committed");
        let before = books.started.insert(attempt, (node_role.to_owned(), machine.clone()));
        assert_eq!(before, None, "attempt {attempt} is begun twice");
        let other = books.busy.insert(node_role.to_owned(), attempt);
        let other = other.filter(|it| books.started.get(it).is_some_and(|(_, on)| !books.lost.contains(on)));
        assert_eq!(other, None, "{node_role} is done twice at once, the second time by attempt {attempt}");
    }

    /// An attempt wrote to its log.
    pub(crate) fn writes(&self, attempt: u64, bytes: &[u8]) {
        self.books().written.entry(attempt).or_default().extend_from_slice(bytes);
    }

    /// A machine does nothing for an attempt any more.
    pub(crate) fn ends(&self, attempt: u64) {
        let mut books = self.books();
        let Some((node_role, _)) = books.started.get(&attempt).cloned() else { return };
        if books.busy.get(&node_role) == Some(&attempt) {
            books.busy.remove(&node_role);
        }
    }

    /// An agent forgets an attempt, since its engine acknowledged the end.
    pub(crate) fn forgets(&self, attempt: u64) {
        let ended = self.books().ended.contains(&AttemptId(attempt));
        assert!(ended, "attempt {attempt} is forgotten, and no end of it is committed");
    }

    /// A machine is gone for good.
    pub(crate) fn gone(&self, machine: &NodeName) {
        self.books().lost.insert(machine.clone());
    }

    /// No secret is in history.
    pub(crate) fn assert_sealed(&self) {
        let books = self.books();
        let open = books.history.iter().find(|it| serde_json::to_string(it).is_ok_and(|it| it.contains(SECRET)));
        assert!(open.is_none(), "a secret is in history: {open:?}");
    }

    /// What is committed.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&World, &[Record]) -> T) -> T {
        let books = self.books();
        look(&books.world, &books.history)
    }

    /// How many attempts were begun on machines.
    pub(crate) fn begun(&self) -> usize {
        self.books().started.len()
    }

    /// The logs of what was begun on machines that are there: what was written, by attempt.
    pub(crate) fn logs(&self) -> Vec<(u64, Vec<u8>)> {
        let books = self.books();
        let there = |attempt: &u64| books.started.get(attempt).is_none_or(|(_, on)| !books.lost.contains(on));
        books.written.iter().filter(|(attempt, _)| there(attempt)).map(|(id, log)| (*id, log.clone())).collect()
    }
}

impl Books {
    /// The node-role that a change starts an attempt of: one that was started before only changes otherwise.
    fn starts(&self, change: &Change) -> Option<NodeRoleId> {
        match change {
            Change::AttemptPut { attempt } => {
                (!self.known.contains(&attempt.id) && attempt.outcome.is_none()).then(|| attempt.node_role.clone())
            }
            Change::NodeRoleMoved { id, status } => {
                let before = self.world.node_role(id).and_then(|it| it.status.state.attempt());
                let now = matches!(status.state, State::Running { .. }).then(|| status.state.attempt()).flatten();
                (now.is_some() && now != before).then(|| id.clone())
            }
            _ => None,
        }
    }

    /// Nothing of a protected role is taken away before the operator named it.
    fn assert_named(&self, attempt: &rebar_model::Attempt) {
        let Some(node_role) = self.world.node_role(&attempt.node_role) else { return };
        let protected = self.world.role_of(&node_role.spec).is_some_and(|it| it.manifest.spec.protect);
        let named = attempt.kind == AttemptKind::Apply || self.named.contains(&attempt.node_role.role);
        assert!(named || !protected, "{} is taken away, and nobody named its role", attempt.node_role);
    }
}
