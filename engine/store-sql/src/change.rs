//! History: committing changes and reading them back. What they leave in the projections is `batch.rs` and `projection.rs`.

use rebar_model::{Change, Epoch, Record, Seq};
use rebar_ports::{HistoryQuery, StoreError};

use crate::{
    batch::Batch,
    bulk::Bulk,
    database::{Database, PerDialect, Row, Transaction, Value, bound, int},
    json::{self, corrupt},
    projection,
};

/// The lease and the end of history. PostgreSQL has to be told to hold both until the transaction ends: else an engine that
/// takes over in between would load a World without these changes. SQLite lets nobody else write anyway.
const HEAD: PerDialect = PerDialect {
    sqlite: "SELECT lease.epoch, meta.applied FROM lease, meta WHERE lease.shard = 0",
    postgres: "SELECT lease.epoch, meta.applied FROM lease, meta WHERE lease.shard = 0 \
        FOR SHARE OF lease FOR UPDATE OF meta",
};
const INSERT: Bulk<6> =
    Bulk { before: "INSERT INTO change (seq, at, actor, deployment, kind, body) VALUES", after: "" };
const HISTORY: &str = "SELECT seq, at, actor, body FROM change WHERE seq > $1 ORDER BY seq LIMIT $2";
const HISTORY_OF_DEPLOYMENT: &str =
    "SELECT seq, at, actor, body FROM change WHERE seq > $1 AND deployment = $3 ORDER BY seq LIMIT $2";

pub(crate) async fn commit(database: &Database, epoch: Epoch, records: &[Record]) -> Result<(), StoreError> {
    // Everything that can be done without the transaction is done before it.
    let prepared = Prepared::of(records)?;
    let mut transaction = database.begin().await?;
    check(&mut transaction, database.pick(&HEAD), epoch, records).await?;
    prepared.write(&mut transaction).await?;
    transaction.commit().await
}

/// Records as they are written.
pub(crate) struct Prepared<'a> {
    batch: Batch<'a>,
    rows: Vec<[Value; 6]>,
}

impl<'a> Prepared<'a> {
    pub(crate) fn of(records: &'a [Record]) -> Result<Self, StoreError> {
        Ok(Self { batch: Batch::of(records)?, rows: records.iter().map(row).collect::<Result<_, _>>()? })
    }

    /// Writes them to history, and what they leave to the projections.
    pub(crate) async fn write(self, transaction: &mut Transaction) -> Result<(), StoreError> {
        INSERT.run(transaction, self.rows).await?;
        projection::write(transaction, &self.batch).await
    }
}

async fn check(
    transaction: &mut Transaction,
    head: &'static str,
    epoch: Epoch,
    records: &[Record],
) -> Result<(), StoreError> {
    let rows = transaction.fetch(head, Vec::new()).await?;
    let row = rows.first().ok_or_else(|| corrupt("head of history", &"its row is missing"))?;
    let current = Epoch(row.number(0)?);
    if epoch < current {
        return Err(StoreError::Fenced { given: epoch, current });
    }
    let mut last = Seq(row.number(1)?);
    for record in records {
        if record.seq != last.next() {
            return Err(StoreError::Gap { last, given: record.seq });
        }
        last = record.seq;
    }
    Ok(())
}

pub(crate) async fn history(database: &Database, query: HistoryQuery) -> Result<Vec<Record>, StoreError> {
    let mut values = vec![bound(query.after.0).into(), i64::from(query.limit).into()];
    let sql = match query.deployment {
        Some(deployment) => {
            values.push(deployment.as_str().into());
            HISTORY_OF_DEPLOYMENT
        }
        None => HISTORY,
    };
    database.read(sql, values).await?.iter().map(read).collect()
}

fn row(record: &Record) -> Result<[Value; 6], StoreError> {
    let deployment = record.change.deployment().map(ToString::to_string);
    Ok([
        int(record.seq.0)?.into(),
        record.at.to_string().into(),
        record.by.0.as_str().into(),
        deployment.into(),
        kind(&record.change).into(),
        json::write("change", &record.change)?.into(),
    ])
}

fn read(row: &Row) -> Result<Record, StoreError> {
    Ok(Record {
        seq: Seq(row.number(0)?),
        at: row.text(1)?.parse().map_err(|error| corrupt("time", &error))?,
        by: rebar_model::Actor(row.text(2)?.to_owned()),
        change: json::read("change", row.text(3)?)?,
    })
}

/// The word for a kind of change, for people who look into the table.
fn kind(change: &Change) -> &'static str {
    match change {
        Change::EpochBegan { .. } => "epoch-began",
        Change::NodePut { .. } => "node-put",
        Change::NodeRemoved { .. } => "node-removed",
        Change::WorkloadImported { .. } => "workload-imported",
        Change::WorkloadRemoved { .. } => "workload-removed",
        Change::ParameterSet { .. } => "parameter-set",
        Change::DeploymentPut { .. } => "deployment-put",
        Change::DeploymentRemoved { .. } => "deployment-removed",
        Change::RevisionAccepted { .. } => "revision-accepted",
        Change::NodeRoleSpecified { .. } => "node-role-specified",
        Change::NodeRoleMoved { .. } => "node-role-moved",
        Change::NodeRoleRemoved { .. } => "node-role-removed",
        Change::AttemptPut { .. } => "attempt-put",
        Change::ResourcePut { .. } => "resource-put",
        Change::ResourceRemoved { .. } => "resource-removed",
        Change::AgentReleasePut { .. } => "agent-release-put",
        Change::AgentPut { .. } => "agent-put",
        Change::AgentUpgradePut { .. } => "agent-upgrade-put",
        Change::EnrolTokenPut { .. } => "enrol-token-put",
        Change::EnrolTokenRemoved { .. } => "enrol-token-removed",
        Change::ApiTokenPut { .. } => "api-token-put",
        Change::ApiTokenRemoved { .. } => "api-token-removed",
    }
}
