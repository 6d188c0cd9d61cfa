//! The logs of attempts.

use async_trait::async_trait;
use rebar_model::AttemptId;
use rebar_ports::{LogChunk, Logs, StoreError};

use crate::{
    SqlStore,
    bulk::Bulk,
    database::{bound, int},
    json,
};

const APPEND: Bulk<4> = Bulk {
    before: "INSERT INTO attempt_log (attempt, start, bytes, body) VALUES",
    after: " ON CONFLICT (attempt, start) DO NOTHING",
};
const READ: &str = "SELECT body FROM attempt_log WHERE attempt = $1 AND start >= $2 ORDER BY start LIMIT $3";
const END: &str = "SELECT start + bytes FROM attempt_log WHERE attempt = $1 ORDER BY start DESC LIMIT 1";

#[async_trait]
impl Logs for SqlStore {
    async fn append(&self, chunks: &[LogChunk]) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let (attempt, start, bytes) = (int(chunk.attempt.0)?, int(chunk.offset)?, int(chunk.bytes)?);
            rows.push([attempt.into(), start.into(), bytes.into(), json::write("log", chunk)?.into()]);
        }
        let mut transaction = self.database.begin().await?;
        APPEND.run(&mut transaction, rows).await?;
        transaction.commit().await
    }

    async fn read(&self, attempt: AttemptId, offset: u64, limit: u32) -> Result<Vec<LogChunk>, StoreError> {
        let values = vec![bound(attempt.0).into(), bound(offset).into(), i64::from(limit).into()];
        let rows = self.database.read(READ, values).await?;
        rows.iter().map(|row| json::read("log", row.text(0)?)).collect()
    }

    async fn end(&self, attempt: AttemptId) -> Result<u64, StoreError> {
        let rows = self.database.read(END, vec![bound(attempt.0).into()]).await?;
        rows.first().map_or(Ok(0), |row| row.number(0))
    }
}
