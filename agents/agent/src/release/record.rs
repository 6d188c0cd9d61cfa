//! What became of the last upgrade, durable: a machine that goes down in the middle of one knows afterwards that it was. It is read
//! by the release before and by the one after, so that what is in it may grow, and nothing may change its meaning.

use rebar_proto::v1::{UpgradeFailed, UpgradeFailure};
use serde::{Deserialize, Serialize};

use crate::{
    disk::{durable, layout::State},
    error::Error,
};

/// The longest reason, in characters.
const LONGEST: usize = 500;

/// What became of the last upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The engine's number for it.
    pub upgrade: u64,
    /// The digest of the program that it was about; none where the order was refused before that was known.
    #[serde(default)]
    pub sha256: String,
    /// How far it is.
    #[serde(flatten)]
    pub state: Standing,
}

/// How far an upgrade is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Standing {
    /// The program is being tried.
    Trying {
        /// How often the trial was begun.
        tries: u32,
    },
    /// This machine is that release.
    Kept,
    /// It was not taken.
    Refused {
        /// Why.
        reason: String,
    },
    /// It was tried, and the release before is back.
    RolledBack {
        /// Why.
        reason: String,
    },
}

impl Record {
    /// Reads the record; none where there was no upgrade.
    pub fn load(state: &State) -> Result<Option<Self>, Error> {
        let path = state.upgrade();
        let Some(bytes) = durable::read(&path)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::Broken { path, reason: error.to_string() })
    }

    /// Writes the record.
    pub fn save(&self, state: &State) -> Result<(), Error> {
        let path = state.upgrade();
        let broken = |error: serde_json::Error| Error::Broken { path: path.clone(), reason: error.to_string() };
        durable::write(&path, &serde_json::to_vec(self).map_err(broken)?)
    }

    /// The same upgrade, refused.
    pub fn refused(upgrade: u64, reason: &str) -> Self {
        Self { upgrade, sha256: String::new(), state: Standing::Refused { reason: short(reason) } }
    }

    /// The same upgrade, rolled back.
    pub fn rolled_back(&self, reason: &str) -> Self {
        Self { state: Standing::RolledBack { reason: short(reason) }, ..self.clone() }
    }

    /// What the engine is told, where this machine is not what it was to become.
    pub fn report(&self) -> Option<UpgradeFailed> {
        let (failure, reason) = match &self.state {
            Standing::Trying { .. } | Standing::Kept => return None,
            Standing::Refused { reason } => (UpgradeFailure::Refused, reason),
            Standing::RolledBack { reason } => (UpgradeFailure::RolledBack, reason),
        };
        Some(UpgradeFailed { upgrade: self.upgrade, failure: failure.into(), reason: reason.clone() })
    }
}

fn short(reason: &str) -> String {
    reason.chars().take(LONGEST).collect()
}
