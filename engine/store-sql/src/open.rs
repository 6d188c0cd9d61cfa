//! Opening a database: which one an address means, how it is set up, and its migrations, which are part of the program.

use std::{
    io,
    path::{Path, PathBuf},
    str::FromStr as _,
    time::Duration,
};

use rebar_ports::StoreError;
use sqlx::{
    Connection as _, PgPool, SqliteConnection, SqlitePool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    bulk::PREPARED_STATEMENTS,
    database::{Database, SQLITE_WRITE, unavailable},
};

static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");

/// Connections that read a SQLite file beside the one that writes.
const SQLITE_READERS: u32 = 4;

/// Connections to PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 8;

/// A transaction of an engine that says nothing for so many milliseconds is ended by the server: an engine that is frozen in the
/// middle of one must not keep another from taking the lease.
const FROZEN_AFTER: &str = "2000";

/// How long a writer waits for another process on the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long anybody waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages kept by the writer, in KiB; negative, as SQLite counts it.
const WRITER_CACHE: &str = "-65536";

/// An address that names no database.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` names no database: write a file as /path/rebar.db or sqlite:///path/rebar.db, a server as \
     postgres://user@host/database"
)]
struct InvalidAddress(String);

/// A file that cannot be made or opened.
#[derive(Debug, thiserror::Error)]
#[error("{path}")]
struct CannotOpen {
    path: String,
    #[source]
    source: io::Error,
}

/// What an address means.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    File(PathBuf),
    Server,
}

/// The version of the tables: that of the last migration.
pub(crate) fn schema() -> i64 {
    SQLITE.iter().map(|it| it.version).max().unwrap_or_default()
}

/// Opens the database of an address to read it, as it is: nothing is made or changed, whoever else uses it. None if there is no
/// such file.
pub(crate) async fn open_to_read(address: &str) -> Result<Option<Database>, StoreError> {
    Ok(match parse(address).map_err(unavailable)? {
        Address::File(path) if !path.exists() => None,
        Address::File(path) => {
            let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
            let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT);
            let reader = pool.connect_with(options).await.map_err(unavailable)?;
            Some(Database::Sqlite { writer: reader.clone(), reader })
        }
        Address::Server => {
            let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT);
            Some(Database::Postgres(pool.connect_with(server_options(address)?).await.map_err(unavailable)?))
        }
    })
}

/// Opens the database of an address and brings its tables up to date.
pub(crate) async fn open(address: &str) -> Result<Database, StoreError> {
    match parse(address).map_err(unavailable)? {
        Address::File(path) => sqlite(&path).await,
        Address::Server => postgres(address).await,
    }
}

fn parse(address: &str) -> Result<Address, InvalidAddress> {
    let invalid = || InvalidAddress(without_password(address));
    if address.starts_with("postgres://") || address.starts_with("postgresql://") {
        return Ok(Address::Server);
    }
    let path = match address.split_once("://") {
        Some(("sqlite", path)) => path,
        Some(_) => return Err(invalid()),
        None => address.strip_prefix("sqlite:").unwrap_or(address),
    };
    // A database in memory would be another one for every connection, and nothing of it would last.
    if path.is_empty() || path.starts_with(':') || path.contains('?') {
        return Err(invalid());
    }
    Ok(Address::File(PathBuf::from(path)))
}

/// The address as it may be printed.
pub(crate) fn without_password(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => address.to_owned(),
    }
}

async fn sqlite(path: &Path) -> Result<Database, StoreError> {
    make_private(path).map_err(|source| unavailable(CannotOpen { path: path.display().to_string(), source }))?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // With WAL, FULL is what makes each commit survive a power cut; NORMAL keeps the file whole but may lose the last ones.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("temp_store", "memory")
        .statement_cache_capacity(PREPARED_STATEMENTS);
    let writer: SqlitePool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // Its prepared statements are worth keeping.
        .idle_timeout(None)
        .max_lifetime(None)
        .after_release(|connection, _| Box::pin(is_usable(connection)))
        .connect_with(options.clone().pragma("cache_size", WRITER_CACHE))
        .await
        .map_err(unavailable)?;
    // One transaction around all migrations: unlike for PostgreSQL, sqlx takes no lock of its own, and of two engines that open
    // a new file at once both would make its tables.
    let mut migrating = writer.begin_with(SQLITE_WRITE).await.map_err(unavailable)?;
    SQLITE.run_direct(None, &mut *migrating, false).await.map_err(unavailable)?;
    migrating.commit().await.map_err(unavailable)?;
    let reader = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options.read_only(true))
        .await
        .map_err(unavailable)?;
    Ok(Database::Sqlite { writer, reader })
}

/// Whether a connection that comes back can begin another transaction. SQLite ends one by itself when the disk is full or cannot be
/// read; sqlx does not see that, and the rollback that it asks for fails.
async fn is_usable(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // Waits for the rollback.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Makes the file, if it is new, so that its owner alone can read it; SQLite gives its side files the same mode.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn server_options(address: &str) -> Result<PgConnectOptions, StoreError> {
    Ok(PgConnectOptions::from_str(address)
        .map_err(unavailable)?
        .application_name("rebar")
        // A server may be set up to answer before a commit is on disk.
        .options([("synchronous_commit", "on"), ("idle_in_transaction_session_timeout", FROZEN_AFTER)])
        .statement_cache_capacity(PREPARED_STATEMENTS))
}

async fn postgres(address: &str) -> Result<Database, StoreError> {
    let pool: PgPool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(server_options(address)?)
        .await
        .map_err(unavailable)?;
    POSTGRES.run(&pool).await.map_err(unavailable)?;
    Ok(Database::Postgres(pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_mean_files_or_servers() {
        let file = |path: &str| Some(Address::File(PathBuf::from(path)));
        let cases = [
            ("/var/lib/rebar/rebar.db", file("/var/lib/rebar/rebar.db")),
            ("rebar.db", file("rebar.db")),
            ("sqlite:///var/rebar.db", file("/var/rebar.db")),
            ("sqlite://rebar.db", file("rebar.db")),
            ("sqlite:rebar.db", file("rebar.db")),
            ("postgres://rebar@db/rebar", Some(Address::Server)),
            ("postgresql://rebar@db/rebar", Some(Address::Server)),
            ("mysql://root@db/rebar", None),
            (":memory:", None),
            ("sqlite::memory:", None),
            ("sqlite://", None),
            ("", None),
        ];
        for (address, expected) in cases {
            assert_eq!(parse(address).ok(), expected, "{address}");
        }
    }

    #[test]
    fn passwords_are_not_printed() {
        assert_eq!(without_password("mysql://root:secret@db/rebar"), "mysql://…@db/rebar");
        assert!(!parse("mysql://root:secret@db/x").unwrap_err().to_string().contains("secret"));
    }
}
