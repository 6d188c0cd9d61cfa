//! The suite against SQLite files, and what only a file has to stand: being killed while it is written.

use std::{os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use rand::RngExt as _;
use rebar_conformance::{
    backend::{Files, KEY},
    crash::{Writer, kept},
    generate::Generator,
    run,
    small_disk::SmallDisk,
};
use rebar_model::Span;
use rebar_ports::Store as _;
use rebar_store_sql::{SqlStore, backed_up};

const KILLS: u64 = 5;

/// Records of a commit: more than fit into what the file has left.
const RECORDS: usize = 200;

const ROUNDS_WHILE_FULL: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_conforms() -> Result<()> {
    let directory = tempfile::tempdir()?;
    run(Arc::new(Files { directory: directory.path().to_owned() })).await
}

#[tokio::test]
async fn the_file_is_for_its_owner_alone() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("rebar.db");
    let store = SqlStore::open(&path.display().to_string(), KEY).await?;
    for entry in directory.path().read_dir()? {
        let entry = entry?;
        let mode = entry.metadata()?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{} has mode {mode:o}", entry.path().display());
    }
    store.close().await;
    Ok(())
}

#[tokio::test]
async fn a_place_without_directory_is_named_in_the_error() -> Result<()> {
    let error = SqlStore::open("/nowhere/at/all/rebar.db", KEY).await.err().context("it opened")?;
    ensure!(format!("{error}").contains("/nowhere/at/all/rebar.db"), "{error}");
    Ok(())
}

/// A new table or column belongs into backups too.
#[tokio::test]
async fn a_backup_leaves_nothing_out() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let store = SqlStore::open(&directory.path().join("rebar.db").display().to_string(), KEY).await?;
    let mut tables = store.tables().await?;
    tables.retain(|name, _| !["lease", "meta"].contains(&name.as_str()));
    ensure!(tables == backed_up(), "the database has {tables:#?}\na backup takes {:#?}", backed_up());
    Ok(())
}

/// SQLite itself ends the transaction that found the disk full; the next one must not be refused because of that.
#[tokio::test]
async fn a_full_disk_is_an_error_and_nothing_else() -> Result<()> {
    let disk = SmallDisk::new(8)?;
    let store = SqlStore::open(&disk.path().join("rebar.db").display().to_string(), KEY).await?;
    let epoch = store.lead("one", Timestamp::UNIX_EPOCH, Span::from_secs(60)).await?.context("it does not lead")?;
    disk.fill()?;
    for round in 0..ROUNDS_WHILE_FULL {
        let before = store.load().await?;
        let records = Generator::new(round, before.clone()).records(RECORDS)?;
        let error = store.commit(epoch, &records).await.err().context("it has space")?;
        ensure!(error.to_string().contains("disk is full"), "{error}");
        ensure!(store.load().await? == before, "a commit that failed left something");
    }
    disk.free()?;
    let mut generator = Generator::new(0, store.load().await?);
    store.commit(epoch, &generator.records(RECORDS)?).await?;
    ensure!(store.load().await? == *generator.world());
    store.close().await;
    Ok(())
}

/// What the writer said to be committed is there after SIGKILL, whenever it comes.
#[tokio::test]
async fn killed_at_any_moment_it_keeps_what_it_committed() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("crash.db").display().to_string();
    for round in 0..KILLS {
        let mut writer = Writer::start(Path::new(env!("CARGO_BIN_EXE_commit-loop")), &path, round)?;
        writer.told_once()?;
        thread::sleep(Duration::from_micros(rand::rng().random_range(0..400_000)));
        writer.kill()?;
        kept(&path, writer.told()?).await.with_context(|| format!("round {round}"))?;
    }
    Ok(())
}
