//! The port to what is remembered: committed changes, and the World that follows from them. Logs, blobs, secrets and claimed
//! addresses have ports of their own; one database usually implements them all.

use async_trait::async_trait;
use jiff::Timestamp;
use rebar_model::{
    Attempt, AttemptId, DeploymentName, Epoch, NodeRoleId, Record, Revision, RevisionNo, Seq, Span, World,
};

/// Committed changes, and the World that follows from them.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Takes or renews the lease of this store for `holder`: the epoch if it leads until `now + ttl`, none if another holder
    /// does. One that was late keeps its epoch when nobody took the lease meanwhile; who takes it over, or takes it again after
    /// it resigned, gets an epoch higher than any before.
    async fn lead(&self, holder: &str, now: Timestamp, ttl: Span) -> Result<Option<Epoch>, StoreError>;

    /// Gives the lease up, so that another engine need not wait for its end.
    async fn resign(&self, holder: &str) -> Result<(), StoreError>;

    /// The World after the last committed change.
    async fn load(&self) -> Result<World, StoreError>;

    /// Makes changes durable, all or none. They must follow the last committed one without a gap. After it returns, a crash or a
    /// power cut loses none of them. Refuses an epoch lower than that of the lease.
    async fn commit(&self, epoch: Epoch, records: &[Record]) -> Result<(), StoreError>;

    /// Committed changes in order, for readers that resume from a sequence number.
    async fn history(&self, query: HistoryQuery) -> Result<Vec<Record>, StoreError>;

    /// Accepted plans, the newest first, those of deployments of the same name that are gone too; each with its place in history.
    async fn revisions(&self, query: RevisionQuery) -> Result<Vec<(Seq, Revision)>, StoreError>;

    /// Attempts, the newest first, those that ended too.
    async fn attempts(&self, query: AttemptQuery) -> Result<Vec<Attempt>, StoreError>;

    /// One attempt.
    async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError>;
}

/// Which changes to read.
#[derive(Debug, Clone, Default)]
pub struct HistoryQuery {
    /// Only those after this one.
    pub after: Seq,
    /// Only those of one deployment.
    pub deployment: Option<DeploymentName>,
    /// At most this many.
    pub limit: u32,
}

/// Which accepted plans to read.
#[derive(Debug, Clone)]
pub struct RevisionQuery {
    /// Of which deployment.
    pub deployment: DeploymentName,
    /// Only those with this number.
    pub no: Option<RevisionNo>,
    /// Only those before this place in history, for pages.
    pub before: Option<Seq>,
    /// At most this many.
    pub limit: u32,
}

/// Which attempts to read.
#[derive(Debug, Clone, Default)]
pub struct AttemptQuery {
    /// Only those of one node-role.
    pub node_role: Option<NodeRoleId>,
    /// Only those of one deployment.
    pub deployment: Option<DeploymentName>,
    /// Only those before this one, for pages.
    pub before: Option<AttemptId>,
    /// At most this many.
    pub limit: u32,
}

/// What can go wrong with anything that is stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another engine leads.
    #[error("epoch {given} is over: an engine with epoch {current} leads this database")]
    Fenced {
        /// What was given.
        given: Epoch,
        /// What holds.
        current: Epoch,
    },
    /// The changes do not follow the last committed one.
    #[error("change {given} does not follow change {last}, the last one committed")]
    Gap {
        /// The last one.
        last: Seq,
        /// What was given.
        given: Seq,
    },
    /// What is stored cannot be read.
    #[error("the database holds a {what} that cannot be read: {detail}")]
    Corrupt {
        /// What kind of thing.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The database cannot be used.
    #[error("database: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
