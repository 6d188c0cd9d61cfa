//! The cases, one file a port or question. Each takes the ports alone; what it needs more than once is here.

use anyhow::Result;
use jiff::Timestamp;
use rebar_model::{Actor, Change, Epoch, Record, Seq, Span};
use rebar_ports::Store;

pub(crate) mod attempts;
pub(crate) mod backup;
pub(crate) mod blobs;
pub(crate) mod history;
pub(crate) mod lease;
pub(crate) mod ledger;
pub(crate) mod logs;
pub(crate) mod store;
pub(crate) mod vault;

/// How long a lease lasts in these cases.
pub(crate) const TTL: Span = Span::from_secs(10);

/// A moment after the beginning of the case.
pub(crate) fn at(second: u64) -> Timestamp {
    Span::from_secs(1_800_000_000 + second).after(Timestamp::UNIX_EPOCH)
}

/// The changes as records from a place in history on.
pub(crate) fn records(first: u64, changes: Vec<Change>) -> Vec<Record> {
    let places = first..;
    let record = |(place, change)| Record { seq: Seq(place), at: at(place), by: Actor::engine(), change };
    places.zip(changes).map(record).collect()
}

/// Leads and says with which epoch.
pub(crate) async fn lead(store: &dyn Store) -> Result<Epoch> {
    use anyhow::Context as _;
    store.lead("engine", at(0), TTL).await?.context("a new database has no other engine")
}
