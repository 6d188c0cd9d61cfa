//! The port to the logs of attempts: bytes with offsets, appended once.

use async_trait::async_trait;
use jiff::Timestamp;
use rebar_model::{AttemptId, Phase};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// A piece of an attempt's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogChunk {
    /// Of which attempt.
    pub attempt: AttemptId,
    /// Bytes of the log before it.
    pub offset: u64,
    /// The phase that wrote it.
    pub phase: Option<Phase>,
    /// When.
    pub at: Timestamp,
    /// The bytes, as text; what is not UTF-8 was replaced.
    pub text: String,
    /// How many bytes of the log it stands for.
    pub bytes: u64,
    /// Bytes thinned away before it.
    pub lost: u64,
}

/// The logs of attempts.
#[async_trait]
pub trait Logs: Send + Sync + 'static {
    /// Appends chunks durably. A chunk whose offset is already there is left as it is, so that repeating is harmless.
    async fn append(&self, chunks: &[LogChunk]) -> Result<(), StoreError>;

    /// Chunks of an attempt from an offset on, in order, at most `limit` of them.
    async fn read(&self, attempt: AttemptId, offset: u64, limit: u32) -> Result<Vec<LogChunk>, StoreError>;

    /// The offset after the last byte that is durable.
    async fn end(&self, attempt: AttemptId) -> Result<u64, StoreError>;
}
