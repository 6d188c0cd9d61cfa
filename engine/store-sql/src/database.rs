//! The two databases behind one face: statements with values in, rows out. All SQL elsewhere in this crate is written once and
//! runs on both; what differs is here: how a transaction begins, how values are bound and rows are read. sqlx's own `Any` is
//! not used: it has no way to begin a transaction with a statement of one's choice.

use rebar_ports::StoreError;
use sqlx::{
    AssertSqlSafe, PgPool, Postgres, Row as _, SqlSafeStr, SqlStr, Sqlite, SqlitePool,
    postgres::{PgArguments, PgRow},
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

/// Takes the write lock at once: a transaction that reads first and upgrades later can fail with "busy" at any time.
pub(crate) const SQLITE_WRITE: &str = "BEGIN IMMEDIATE";

/// All statements see one moment.
const POSTGRES_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// For the transaction that it is said in.
const TAKE_TIME: &str = "SET LOCAL idle_in_transaction_session_timeout = 0";

/// A database that is open.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    /// One file: SQLite has one writer at a time, so the writer is one connection; readers do not wait for it.
    Sqlite { writer: SqlitePool, reader: SqlitePool },
    /// A server.
    Postgres(PgPool),
}

/// A transaction. Dropped without [`Transaction::commit`], it is rolled back.
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// A value that is bound to a statement.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Int(i64),
    Text(String),
    OptionalText(Option<String>),
    Bytes(Vec<u8>),
}

/// A row that was read.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What the databases say differently.
pub(crate) struct PerDialect {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

/// How the values of a statement with very many of them are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placeholders {
    /// `$1, $2`.
    Numbered,
    /// `?, ?`: to SQLite `$1` is a name, and looking thousands of names up, one by one, takes longer than writing the rows.
    Nameless,
}

impl Database {
    /// Runs one statement that changes nothing.
    pub(crate) async fn read(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let sql = sql.into_sql_str();
        Ok(match self {
            Self::Sqlite { reader, .. } => {
                sqlite(sql, values).fetch_all(reader).await.map_err(unavailable)?.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(pool) => postgres(sql, values)
                .fetch_all(pool)
                .await
                .map_err(unavailable)?
                .into_iter()
                .map(Row::Postgres)
                .collect(),
        })
    }

    /// Runs one statement that changes something, in a transaction of its own.
    pub(crate) async fn write(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let mut transaction = self.begin().await?;
        let rows = transaction.fetch(sql, values).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(match self {
            Self::Sqlite { writer, .. } => {
                Transaction::Sqlite(writer.begin_with(SQLITE_WRITE).await.map_err(unavailable)?)
            }
            Self::Postgres(pool) => Transaction::Postgres(pool.begin().await.map_err(unavailable)?),
        })
    }

    /// Begins a transaction that reads everything as of one moment.
    pub(crate) async fn snapshot(&self) -> Result<Transaction, StoreError> {
        Ok(match self {
            Self::Sqlite { reader, .. } => Transaction::Sqlite(reader.begin().await.map_err(unavailable)?),
            Self::Postgres(pool) => {
                Transaction::Postgres(pool.begin_with(POSTGRES_SNAPSHOT).await.map_err(unavailable)?)
            }
        })
    }

    /// Closes all connections after what they are doing.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, reader } => {
                reader.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// The statement for this database.
    pub(crate) fn pick(&self, sql: &PerDialect) -> &'static str {
        match self {
            Self::Sqlite { .. } => sql.sqlite,
            Self::Postgres(_) => sql.postgres,
        }
    }
}

impl Transaction {
    /// How the values of a statement with very many of them are marked.
    pub(crate) fn placeholders(&self) -> Placeholders {
        match self {
            Self::Sqlite(_) => Placeholders::Nameless,
            Self::Postgres(_) => Placeholders::Numbered,
        }
    }

    /// Runs a statement and reads its rows.
    pub(crate) async fn fetch(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        self.rows(sql.into_sql_str(), values).await
    }

    /// Runs a statement that was put together and reads its rows. Callers put together constants of this crate alone.
    pub(crate) async fn fetch_composed(&mut self, sql: String, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        self.rows(AssertSqlSafe(sql).into_sql_str(), values).await
    }

    async fn rows(&mut self, sql: SqlStr, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(it) => sqlite(sql, values)
                .fetch_all(&mut **it)
                .await
                .map_err(unavailable)?
                .into_iter()
                .map(Row::Sqlite)
                .collect(),
            Self::Postgres(it) => {
                let rows = postgres(sql, values).fetch_all(&mut **it).await.map_err(unavailable)?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Runs a statement: how many rows it touched.
    pub(crate) async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64, StoreError> {
        self.run(sql.into_sql_str(), values).await
    }

    /// Runs a statement that was put together: how many rows it touched. Callers put together constants of this crate alone.
    pub(crate) async fn execute_composed(&mut self, sql: String, values: Vec<Value>) -> Result<u64, StoreError> {
        self.run(AssertSqlSafe(sql).into_sql_str(), values).await
    }

    async fn run(&mut self, sql: SqlStr, values: Vec<Value>) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(it) => sqlite(sql, values).execute(&mut **it).await.map_err(unavailable)?.rows_affected(),
            Self::Postgres(it) => postgres(sql, values).execute(&mut **it).await.map_err(unavailable)?.rows_affected(),
        })
    }

    /// Says that a program may think between two statements for as long as it likes: a server that ends the transactions of
    /// engines that say nothing does not end this one.
    pub(crate) async fn take_time(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(_) => self.execute(TAKE_TIME, Vec::new()).await.map(drop),
        }
    }

    /// Makes it durable.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(it) => it.commit().await,
            Self::Postgres(it) => it.commit().await,
        }
        .map_err(unavailable)
    }
}

impl Row {
    /// A whole number.
    pub(crate) fn int(&self, column: usize) -> Result<i64, StoreError> {
        match self {
            Self::Sqlite(it) => it.try_get(column),
            Self::Postgres(it) => it.try_get(column),
        }
        .map_err(unavailable)
    }

    /// A whole number that is never negative.
    pub(crate) fn number(&self, column: usize) -> Result<u64, StoreError> {
        let number = self.int(column)?;
        u64::try_from(number)
            .map_err(|_| StoreError::Corrupt { what: "number", detail: format!("{number} is below zero") })
    }

    /// A text.
    pub(crate) fn text(&self, column: usize) -> Result<&str, StoreError> {
        match self {
            Self::Sqlite(it) => it.try_get(column),
            Self::Postgres(it) => it.try_get(column),
        }
        .map_err(unavailable)
    }

    /// A text that may be missing.
    pub(crate) fn optional_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self {
            Self::Sqlite(it) => it.try_get(column),
            Self::Postgres(it) => it.try_get(column),
        }
        .map_err(unavailable)
    }

    /// Bytes.
    pub(crate) fn bytes(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        match self {
            Self::Sqlite(it) => it.try_get(column),
            Self::Postgres(it) => it.try_get(column),
        }
        .map_err(unavailable)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::OptionalText(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

/// The number as the databases keep it.
pub(crate) fn int(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number)
        .map_err(|_| StoreError::Corrupt { what: "number", detail: format!("{number} is more than a database holds") })
}

/// The number as a bound: more than a database holds is no bound.
pub(crate) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Any error of the database as the port names it.
pub(crate) fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

fn sqlite(sql: SqlStr, values: Vec<Value>) -> Query<'static, Sqlite, SqliteArguments> {
    values.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Int(it) => query.bind(it),
        Value::Text(it) => query.bind(it),
        Value::OptionalText(it) => query.bind(it),
        Value::Bytes(it) => query.bind(it),
    })
}

fn postgres(sql: SqlStr, values: Vec<Value>) -> Query<'static, Postgres, PgArguments> {
    values.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Int(it) => query.bind(it),
        Value::Text(it) => query.bind(it),
        Value::OptionalText(it) => query.bind(it),
        Value::Bytes(it) => query.bind(it),
    })
}
