//! The list of cases, and how they are run: each against a database of its own, all of them even when one fails.

use std::{future::Future, pin::Pin, sync::Arc};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, stream};

use crate::{
    backend::{Backend, Ports},
    cases::{attempts, backup, blobs, history, lease, ledger, logs, store, vault},
};

/// Cases that run at once: most of their time they wait for a disk.
const AT_A_TIME: usize = 4;

/// What a case runs against: databases that are its own.
#[derive(Clone)]
pub struct Subject {
    backend: Arc<dyn Backend>,
    case: &'static str,
}

impl Subject {
    /// The databases of a case on a backend.
    pub fn new(backend: Arc<dyn Backend>, case: &'static str) -> Self {
        Self { backend, case }
    }

    /// The case's database; opened again, the same one with all that is in it.
    pub async fn open(&self) -> Result<Ports> {
        self.backend.open(self.case).await
    }

    /// Connections of their own, as of engines on several machines. One after the other: SQLite lets only one make a new file ready, and
    /// the others do not wait for it.
    pub async fn open_several(&self, count: usize) -> Result<Vec<Ports>> {
        let mut several = Vec::with_capacity(count);
        for _ in 0..count {
            several.push(self.open().await?);
        }
        Ok(several)
    }

    /// A further database of the case.
    pub async fn open_further(&self, which: u64) -> Result<Ports> {
        self.backend.open(&format!("{}-{which}", self.case)).await
    }

    /// Where the case's database is; none if the backend has nothing that lasts.
    pub fn address(&self) -> Option<Result<String>> {
        self.backend.address(self.case)
    }

    /// Where a further database of the case is.
    pub fn further_address(&self, which: u64) -> Option<Result<String>> {
        self.backend.address(&format!("{}-{which}", self.case))
    }

    /// The case's database with another key; none if the backend has no keys.
    pub async fn open_with_other_key(&self) -> Option<Result<Ports>> {
        self.backend.open_with_other_key(self.case).await
    }
}

type Running = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

struct Case {
    name: &'static str,
    run: Box<dyn Fn(Subject) -> Running>,
}

fn case<F: Future<Output = Result<()>> + Send + 'static>(name: &'static str, run: fn(Subject) -> F) -> Case {
    Case { name, run: Box::new(move |subject| Box::pin(run(subject))) }
}

fn all() -> Vec<Case> {
    vec![
        case("load-empty", store::load_empty),
        case("load-equals-replay", store::load_equals_replay),
        case("load-after-a-deployment-came-back", store::load_after_a_deployment_came_back),
        case("revisions-are-kept", store::revisions_are_kept),
        case("values-come-back-as-they-were", store::values_come_back_as_they_were),
        case("a-gap-changes-nothing", store::a_gap_changes_nothing),
        case("records-are-committed-once", store::records_are_committed_once),
        case("many-changes-in-one-commit", store::many_changes_in_one_commit),
        case("opened-again-it-is-all-there", store::opened_again_it_is_all_there),
        case("a-lease-is-taken-and-renewed", lease::taken_and_renewed),
        case("a-lease-is-resigned", lease::resigned),
        case("one-of-many-leads", lease::one_of_many_leads),
        case("a-lower-epoch-is-refused", lease::a_lower_epoch_is_refused),
        case("nothing-is-committed-behind-a-takeover", lease::nothing_is_committed_behind_a_takeover),
        case("history-in-pages", history::in_pages),
        case("history-of-a-deployment", history::of_a_deployment),
        case("attempts-in-pages", attempts::in_pages),
        case("attempts-of-one-thing", attempts::of_one_thing),
        case("logs-are-appended-once", logs::appended_once),
        case("logs-are-read-in-order", logs::read_in_order),
        case("blobs", blobs::kept),
        case("secrets-by-reference", vault::by_reference),
        case("secrets-by-name", vault::by_name),
        case("a-wrong-key-opens-nothing", vault::a_wrong_key_opens_nothing),
        case("a-backup-comes-back", backup::comes_back),
        case("a-backup-is-of-one-moment", backup::of_one_moment),
        case("a-damaged-backup-leaves-nothing", backup::damaged_leaves_nothing),
        case("a-backup-goes-into-an-empty-database-alone", backup::into_an_empty_database_alone),
        case("a-backup-has-one-key", backup::one_key),
        case("numbers-go-on-after-a-restore", backup::numbers_go_on),
        case("an-address-has-one-owner", ledger::an_address_has_one_owner),
        case("claims-are-listed-and-released", ledger::listed_and_released),
    ]
}

/// Runs all cases against a backend, a few at a time. The error names each that failed.
pub async fn run(backend: Arc<dyn Backend>) -> Result<()> {
    let cases = all();
    let count = cases.len();
    let outcomes = stream::iter(cases).map(|case| {
        let subject = Subject::new(backend.clone(), case.name);
        // A task of its own, so that a panic is one failed case.
        let running = tokio::spawn((case.run)(subject));
        async move { (case.name, running.await.context("it panicked").flatten()) }
    });
    let failures: Vec<String> = outcomes
        .buffer_unordered(AT_A_TIME)
        .filter_map(|(name, outcome)| async move { outcome.err().map(|error| format!("{name}: {error:#}")) })
        .collect()
        .await;
    ensure!(failures.is_empty(), "{} of {count} cases failed\n\n{}", failures.len(), failures.join("\n\n"));
    Ok(())
}
