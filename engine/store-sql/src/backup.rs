//! Taking a backup: one moment of a database, read in one transaction while an engine may go on writing, and written to a file that
//! either database can be restored from. The file is `archive.rs`, the tables are `tables.rs`, the way back is `restore.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use jiff::Timestamp;
use rebar_model::{AttemptId, Epoch, Seq};
use rebar_ports::StoreError;

use crate::{
    SealKey, SqlStore,
    archive::{BackupLabel, RowCounts, VERSION, Writer},
    backup_error::BackupError,
    database::Transaction,
    json::corrupt,
    open::{open_to_read, schema, without_password},
    seal::Sealer,
    tables::{TABLES, Table},
    vault::PROBE,
};

const SCHEMA: &str = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version DESC LIMIT 1";

/// The lease may be ahead: an engine that has just taken it.
const HEAD: &str = "SELECT meta.applied, meta.last_attempt, \
    CASE WHEN lease.epoch > meta.epoch THEN lease.epoch ELSE meta.epoch END FROM meta, lease WHERE lease.shard = 0";

/// A backup that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// What it says about itself.
    pub label: BackupLabel,
    /// How many rows it has of each table.
    pub rows: RowCounts,
    /// How large the file is.
    pub bytes: u64,
}

/// Takes a backup of the database of an address, whether an engine runs on it or not. Nothing there is changed.
///
/// It blocks while it writes: for a program that has nothing else to do.
pub async fn back_up(
    address: &str,
    key: &SealKey,
    now: Timestamp,
    out: impl Write + Send,
) -> Result<Backup, BackupError> {
    let nothing = || BackupError::NoDatabase { address: without_password(address) };
    let database = open_to_read(address).await?.ok_or_else(nothing)?;
    let store = SqlStore { database, sealer: Sealer::new(key) };
    let backup = async {
        if !store.tables().await?.contains_key("meta") {
            return Err(nothing());
        }
        store.check_schema().await?;
        store.check_seal().await?;
        store.write_backup(key, now, out).await
    }
    .await;
    store.close().await;
    backup
}

/// The tables and columns that a backup takes. All others are of the database itself, the lease, or said by the label.
pub fn backed_up() -> BTreeMap<String, BTreeSet<String>> {
    let columns = |table: &Table| table.column_names().map(str::to_owned).collect();
    TABLES.iter().map(|table| (table.name.to_owned(), columns(table))).collect()
}

impl SqlStore {
    async fn check_schema(&self) -> Result<(), BackupError> {
        let rows = self.database.read(SCHEMA, Vec::new()).await?;
        let found = rows.first().map_or(Ok(0), |row| row.int(0))?;
        if found != schema() {
            let detail = format!("its tables have version {found}, those of rebar {VERSION} have {}", schema());
            return Err(BackupError::OtherVersion { what: "database", detail });
        }
        Ok(())
    }

    async fn check_seal(&self) -> Result<(), BackupError> {
        match self.unseal(PROBE.to_owned()).await {
            Ok(_) => Ok(()),
            Err(StoreError::Corrupt { .. }) => Err(BackupError::OtherKey { what: "database" }),
            Err(error) => Err(error.into()),
        }
    }

    async fn write_backup(&self, key: &SealKey, now: Timestamp, out: impl Write + Send) -> Result<Backup, BackupError> {
        let mut transaction = self.database.snapshot().await?;
        transaction.take_time().await?;
        let label = label(&mut transaction, key, now).await?;
        let mut writer = Writer::begin(out, key, &label)?;
        for table in &TABLES {
            writer.table(table)?;
            let mut after = None;
            loop {
                let page = table.page(&mut transaction, after).await?;
                for row in &page {
                    writer.row(table, |line| Ok(table.write(row, line)?))?;
                }
                match page.last() {
                    Some(last) if !table.is_last(&page) => after = Some(table.key(last)?),
                    _ => break,
                }
            }
        }
        let (rows, bytes) = writer.finish()?;
        Ok(Backup { label, rows, bytes })
    }
}

async fn label(transaction: &mut Transaction, key: &SealKey, now: Timestamp) -> Result<BackupLabel, StoreError> {
    let rows = transaction.fetch(HEAD, Vec::new()).await?;
    let row = rows.first().ok_or_else(|| corrupt("head of history", &"its row is missing"))?;
    let (applied, last_attempt, epoch) = (Seq(row.number(0)?), AttemptId(row.number(1)?), Epoch(row.number(2)?));
    Ok(BackupLabel::new(key, now, applied, epoch, last_attempt))
}
