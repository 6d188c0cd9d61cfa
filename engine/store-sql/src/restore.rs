//! Restoring a backup into an empty database, in one transaction: it is all there, or nothing is. What a backup cannot know is what
//! happened after it; so the numbers that agents remember go on far above everything that may have been given out meanwhile. What
//! becomes of the attempts that were under way is not decided here: the caller does.

use std::io::Read;

use jiff::Timestamp;
use rebar_model::{Actor, Change, Epoch, Record, Seq, World};
use rebar_ports::StoreError;

use crate::{
    SealKey, SqlStore,
    archive::{BackupLabel, Item, Reader, RowCounts},
    backup_error::BackupError,
    bulk::{MAX_ROWS, Shape},
    change::Prepared,
    database::{PerDialect, Transaction, Value, int},
    json::corrupt,
    projection,
    tables::{TABLES, Table},
};

/// Bytes that are sent to the database at once; a single row may be more.
const MAX_BYTES: usize = 8 << 20;

/// Nobody takes the lease before the end of the transaction.
const HEAD: PerDialect = PerDialect {
    sqlite: "SELECT lease.until, lease.epoch, meta.applied FROM lease, meta WHERE lease.shard = 0",
    postgres: "SELECT lease.until, lease.epoch, meta.applied FROM lease, meta WHERE lease.shard = 0 \
        FOR UPDATE OF lease, meta",
};
const META: &str = "UPDATE meta SET applied = $1, last_attempt = $2, epoch = $2 WHERE id = 1";
const LEASE: &str = "UPDATE lease SET holder = NULL, until = 0, epoch = $1 WHERE shard = 0";

/// How a backup is restored.
#[derive(Debug, Clone)]
pub struct Restoring {
    /// The time.
    pub now: Timestamp,
    /// An epoch that the restored one has to exceed, where agents have obeyed one that is higher than the clock says; else 0.
    pub epoch_at_least: Epoch,
    /// Whose the changes are that follow from restoring.
    pub by: Actor,
}

/// A backup that was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the backup says about itself.
    pub label: BackupLabel,
    /// How many rows it had of each table.
    pub rows: RowCounts,
    /// The epoch that holds now; agents refuse any before it once they have obeyed an engine on this database.
    pub epoch: Epoch,
    /// The last change; those after the last one of the backup are what followed from restoring.
    pub applied: Seq,
}

/// Restores a backup into the database of an address, which has to be empty and without an engine.
///
/// `settle` is given the World as it was, in its new epoch, and says what has to change before an engine may go on with it. It
/// blocks while it reads: for a program that has nothing else to do.
pub async fn restore<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    address: &str,
    key: &SealKey,
    how: Restoring,
    from: impl Read + Send,
    settle: impl FnOnce(World) -> Result<Vec<Change>, E> + Send,
) -> Result<Restored, BackupError> {
    let mut backup = Reader::open(from, key)?;
    let store = SqlStore::open(address, key.clone()).await.map_err(|error| match error {
        StoreError::Corrupt { what: "sealed value", .. } => BackupError::OtherKey { what: "database" },
        error => error.into(),
    })?;
    let restored = async {
        let mut transaction = store.database.begin().await?;
        transaction.take_time().await?;
        let led = check_target(&mut transaction, store.database.pick(&HEAD), how.now).await?;
        load(&mut transaction, &mut backup).await?;
        let floor = floor(&how, backup.label(), led);
        let applied = go_on(&mut transaction, backup.label(), floor, &how, settle).await?;
        transaction.commit().await?;
        Ok(Restored { label: backup.label().clone(), rows: backup.rows().clone(), epoch: Epoch(floor), applied })
    }
    .await;
    store.close().await;
    restored
}

/// Makes sure that nobody leads the database, and that nothing is in it: the epoch that it has come to.
async fn check_target(transaction: &mut Transaction, head: &'static str, now: Timestamp) -> Result<Epoch, BackupError> {
    let rows = transaction.fetch(head, Vec::new()).await?;
    let row = rows.first().ok_or_else(|| corrupt("head of history", &"its row is missing"))?;
    let until = Timestamp::from_microsecond(row.int(0)?).map_err(|error| corrupt("lease", &error))?;
    if until > now {
        return Err(BackupError::Led { until });
    }
    for table in &TABLES {
        if !table.is_empty(transaction).await? {
            return Err(BackupError::NotEmpty { table: table.name });
        }
    }
    if row.number(2)? > 0 {
        return Err(BackupError::NotEmpty { table: "meta" });
    }
    Ok(Epoch(row.number(1)?))
}

/// Reads the backup to its end, which proves it, and adds all its rows.
async fn load(transaction: &mut Transaction, backup: &mut Reader<impl Read>) -> Result<(), BackupError> {
    let mut loading = Loading { transaction, table: None, values: Vec::new(), rows: 0, bytes: 0 };
    while let Some(item) = backup.next()? {
        let taken = match item {
            Item::Table(table) => loading.begin(table).await,
            Item::Row(row) => loading.add(row).await,
        };
        if let Err(error) = taken {
            // What does not fit is most likely damaged: the end says so.
            while backup.next()?.is_some() {}
            return Err(error.into());
        }
    }
    Ok(loading.flush().await?)
}

/// Rows on their way into a table.
struct Loading<'a> {
    transaction: &'a mut Transaction,
    table: Option<&'static Table>,
    values: Vec<Value>,
    rows: usize,
    bytes: usize,
}

impl Loading<'_> {
    async fn begin(&mut self, table: &'static Table) -> Result<(), StoreError> {
        self.flush().await?;
        self.table = Some(table);
        Ok(())
    }

    async fn add(&mut self, row: Vec<serde_json::Value>) -> Result<(), StoreError> {
        let row = self.table.and_then(|it| it.read(row)).ok_or_else(|| corrupt("row", &"its shape is another one"))?;
        self.bytes += row.iter().map(size).sum::<usize>();
        self.rows += 1;
        self.values.extend(row);
        if self.rows == MAX_ROWS || self.bytes >= MAX_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let Some(table) = self.table.filter(|_| self.rows > 0) else { return Ok(()) };
        let columns: Vec<_> = table.column_names().collect();
        let before = format!("INSERT INTO {} ({}) VALUES", table.name, columns.join(", "));
        let shape = Shape { before: &before, after: "", columns: columns.len() };
        shape.run(self.transaction, self.rows, std::mem::take(&mut self.values).into_iter()).await?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Int(_) | Value::OptionalText(None) => size_of::<i64>(),
        Value::Text(it) | Value::OptionalText(Some(it)) => it.len(),
        Value::Bytes(it) => it.len(),
    }
}

/// The number that epochs and attempts go on from. Agents have obeyed epochs, and remember attempts, that are not in the backup; one
/// may have been restored before, from this very backup. The microseconds since 1970 are above all of those: no engine has begun a
/// million epochs, or given out a million attempts, in every second since then.
fn floor(how: &Restoring, backup: &BackupLabel, led: Epoch) -> u64 {
    let clock = u64::try_from(how.now.max(backup.at).as_microsecond()).unwrap_or(0);
    let given = backup.epoch.max(led).0.max(backup.last_attempt.0) + 1;
    clock.max(given).max(how.epoch_at_least.0)
}

/// Goes on from the floor: where history, attempts and epochs are, and what follows from that.
async fn go_on<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    transaction: &mut Transaction,
    backup: &BackupLabel,
    floor: u64,
    how: &Restoring,
    settle: impl FnOnce(World) -> Result<Vec<Change>, E>,
) -> Result<Seq, BackupError> {
    transaction.execute(META, vec![int(backup.applied.0)?.into(), int(floor)?.into()]).await?;
    transaction.execute(LEASE, vec![int(floor)?.into()]).await?;
    let world = projection::load_in(transaction).await?;
    let changes = settle(world).map_err(|error| BackupError::Unsettled(error.into()))?;
    let began = Change::EpochBegan { epoch: Epoch(floor) };
    let mut seq = backup.applied;
    let mut records = Vec::with_capacity(changes.len() + 1);
    for change in std::iter::once(began).chain(changes) {
        seq = seq.next();
        records.push(Record { seq, at: how.now, by: how.by.clone(), change });
    }
    Prepared::of(&records)?.write(transaction).await?;
    Ok(seq)
}

#[cfg(test)]
mod tests {
    use rebar_model::AttemptId;

    use super::*;

    const NOW: u64 = 1_800_000_000_000_000;

    fn at(microseconds: u64) -> Timestamp {
        Timestamp::from_microsecond(microseconds.try_into().unwrap()).unwrap()
    }

    fn check(made_at: u64, epoch: u64, last_attempt: u64, at_least: u64, expected: u64) {
        let key = SealKey::new([1; 32]);
        let label = BackupLabel::new(&key, at(made_at), Seq(9), Epoch(epoch), AttemptId(last_attempt));
        let how = Restoring { now: at(NOW), epoch_at_least: Epoch(at_least), by: Actor::engine() };
        assert_eq!(floor(&how, &label, Epoch(3)), expected);
    }

    #[test]
    fn numbers_go_on_above_everything_that_was_given_out() {
        check(NOW - 5, 7, 41, 0, NOW);
        // A clock that is behind that of the old machine, or behind an earlier restore.
        check(NOW + 5, 7, 41, 0, NOW + 5);
        check(NOW - 5, NOW + 10, 41, 0, NOW + 11);
        check(NOW - 5, 7, NOW + 10, 0, NOW + 11);
        check(NOW - 5, 7, 41, NOW + 20, NOW + 20);
        check(0, 2, 1, 0, NOW);
    }
}
