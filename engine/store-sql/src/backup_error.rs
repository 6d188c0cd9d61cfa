//! What can go wrong with backups. Each has the number of a page in `docs/errors`; what the command line makes of it is not decided
//! here.

use std::io;

use jiff::Timestamp;
use rebar_ports::StoreError;

/// What can go wrong with backups.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to back up.
    #[error("there is no database of rebar at {address}")]
    NoDatabase {
        /// Where it was looked for, without a password.
        address: String,
    },
    /// Something else than a backup.
    #[error("this is not a backup of rebar: {detail}")]
    NotABackup {
        /// What it is instead.
        detail: String,
    },
    /// A backup that is torn or was altered.
    #[error("the backup is damaged: {detail}")]
    Damaged {
        /// What is wrong with it.
        detail: String,
    },
    /// A program of another version made the backup, or the database.
    #[error("the {what} is of another version: {detail}")]
    OtherVersion {
        /// The backup or the database.
        what: &'static str,
        /// Which version it is, and which is wanted.
        detail: String,
    },
    /// The key is another one.
    #[error("the key is not the one that the {what} is sealed with")]
    OtherKey {
        /// The backup or the database.
        what: &'static str,
    },
    /// Something is in the database that a backup is to be restored into.
    #[error("the database is not empty: something is in its table `{table}`")]
    NotEmpty {
        /// Where it was found.
        table: &'static str,
    },
    /// An engine leads the database that a backup is to be restored into.
    #[error("an engine leads this database; its lease runs until {until}")]
    Led {
        /// Until when.
        until: Timestamp,
    },
    /// The file cannot be read or written.
    #[error("the file of the backup")]
    File(#[from] io::Error),
    /// The restored World cannot be settled.
    #[error("the restored state")]
    Unsettled(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    /// The number of its page.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoDatabase { .. } => "RB4101",
            Self::NotABackup { .. } => "RB4102",
            Self::Damaged { .. } => "RB4103",
            Self::OtherVersion { .. } => "RB4104",
            Self::OtherKey { .. } => "RB4105",
            Self::NotEmpty { .. } => "RB4106",
            Self::Led { .. } => "RB4107",
            Self::File(_) => "RB8006",
            Self::Unsettled(_) | Self::Store(_) => "RB4013",
        }
    }
}

/// A backup that is damaged, and how.
pub(crate) fn damaged(detail: &impl ToString) -> BackupError {
    BackupError::Damaged { detail: detail.to_string() }
}
