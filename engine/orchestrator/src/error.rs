//! What can go wrong when something is asked of the engine.

use rebar_manifest::{Diagnostic, PackageError};
use rebar_model::{ReleaseKey, Sha256};
use rebar_ports::{ProviderError, StoreError};
use rebar_scheduler::Refusal;

/// Why the engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The scheduler refuses it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The provider could not do it.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The store could not keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The provider is not configured in this engine.
    #[error("this engine has no provider `{0}`")]
    NoProvider(String),
    /// Nobody leads, because the database cannot be used.
    #[error("nothing can be changed now: {0}")]
    NoDatabase(String),
    /// Another engine leads.
    #[error("this engine stands by and another one leads; ask that one")]
    StandsBy,
    /// The database did not take it, or did not say so.
    #[error("the engine could not make this durable; ask again: {0}")]
    NotDurable(String),
    /// The engine is stopping, or lost its database a moment ago.
    #[error("the engine could not make this durable; ask again")]
    Stopped,
}

/// Why a package was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It has mistakes.
    #[error("the package has {} mistakes", .0.len())]
    Lint(Vec<Diagnostic>),
    /// It is not a package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The engine could not keep it.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why a program was not imported as part of a release of the agent.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// There is no key to verify it by.
    #[error("this engine knows no release key; start it with --release-key KEY")]
    NoKeys,
    /// Somebody else signed it.
    #[error("the release is signed with the key {0}, which is not one of this engine's release keys")]
    UnknownKey(ReleaseKey),
    /// The signature is not that of the statement.
    #[error("the signature is not that of the statement")]
    BadSignature,
    /// What was signed says something else than a statement of a release.
    #[error("what was signed is no statement of a release: {0}")]
    BadStatement(String),
    /// Something else was signed.
    #[error("the program has the digest {found}, and {signed} was signed")]
    WrongProgram {
        /// The digest of what came.
        found: Sha256,
        /// What the statement says.
        signed: Sha256,
    },
    /// The engine could not keep it.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why an engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another engine leads this database.
    #[error("another engine leads this database")]
    NotLeading,
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}
