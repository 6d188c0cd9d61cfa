//! Everything that can go wrong in the agent, in one enum. What a role did wrong is not an error of the agent: that is a result.

use std::{io, path::PathBuf};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds something else than the agent wrote.
    #[error("{}: {reason}", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// In what way.
        reason: String,
    },
    /// Another agent uses the same state.
    #[error("{} is in use by another agent", path.display())]
    InUse {
        /// The state's directory.
        path: PathBuf,
    },
    /// There is no identity, and nothing to enrol with.
    #[error("this machine is not enrolled: run `rebar-agent enrol`, or put an enrolment file at {}", path.display())]
    NotEnrolled {
        /// Where an enrolment file was looked for.
        path: PathBuf,
    },
    /// The engine's address does not parse, or it does not answer.
    #[error("engine {engine}: {reason}")]
    Unreachable {
        /// The address.
        engine: String,
        /// Why.
        reason: String,
    },
    /// The certificate of the engine is not the expected one.
    #[error("the CA of engine {engine} does not have the fingerprint that this machine was given")]
    WrongCa {
        /// The address.
        engine: String,
    },
    /// The engine is there and has no room for another connection now.
    #[error("engine {engine} is busy: it wants to be asked again in {} s", after.as_secs())]
    Busy {
        /// The address.
        engine: String,
        /// When to come back.
        after: std::time::Duration,
    },
    /// The engine refused.
    #[error("the engine refused: {0}")]
    Refused(String),
    /// A key or certificate could not be made or read.
    #[error("certificate: {0}")]
    Certificate(String),
    /// The content of a role is not to be had, or is damaged.
    #[error("content {digest}: {reason}")]
    Content {
        /// Which.
        digest: String,
        /// Why.
        reason: String,
    },
    /// An attempt cannot be set up on this machine.
    #[error("{0}")]
    Setup(String),
    /// The attempt was cancelled while it was being set up.
    #[error("cancelled before it started")]
    Cancelled,
    /// A helper command was used in a wrong way.
    #[error("{0}")]
    Usage(String),
}

/// Whether the disk, or what this user may have of it, is full.
pub(crate) fn is_full_disk(error: &Error) -> bool {
    let Error::File { source, .. } = error else { return false };
    matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Names the file in an input or output error.
pub(crate) trait Context<T> {
    /// The error, with the file it is about.
    fn at(self, path: impl Into<PathBuf>) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T, Error> {
        self.map_err(|source| Error::File { path: path.into(), source })
    }
}
