//! Where an engine's database and key are, for the commands that go there themselves instead of asking an engine, and what they run
//! into.

use std::path::PathBuf;

use rebar_store_sql::{BackupError, SealKey};

use crate::{
    data_dir,
    exit::Exit,
    failure::{Failure, Trouble},
};

/// Where an engine's database and key are; said as to `rebar serve`.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// The engine's own directory, with its seal.key
    #[arg(long, env = "REBAR_DATA", default_value = "/var/lib/rebar", value_name = "DIR")]
    pub data: PathBuf,
    /// The database: a file, sqlite:///FILE, or postgres://USER@HOST/NAME [default: DIR/rebar.db]
    #[arg(long, env = "REBAR_DATABASE", value_name = "URL", hide_env_values = true)]
    pub database: Option<String>,
}

impl Place {
    /// The address of the database.
    pub fn address(&self) -> String {
        self.database.clone().unwrap_or_else(|| self.data.join("rebar.db").display().to_string())
    }

    /// The key of the engine's directory; none is made.
    pub fn key(&self) -> Result<SealKey, Failure> {
        let file = self.data.join("seal.key").display().to_string();
        match data_dir::existing_seal_key(&self.data) {
            Ok(Some(key)) => Ok(SealKey::new(key)),
            Ok(None) => {
                let code = BackupError::OtherKey { what: "backup" }.code().to_owned();
                let failure = Failure::plain(Exit::NotFound, format!("there is no {file}"));
                let fix = format!("put the seal.key of the engine there, as {file}, or name its directory with --data");
                Err(Failure { code: Some(code), ..failure }.fix(fix))
            }
            Err(error) => Err(Failure::new(Trouble::File, format!("{error:#}"))),
        }
    }

    /// What a command ends with that ran into something there.
    pub fn failure(&self, error: &BackupError) -> Failure {
        let message = match error {
            BackupError::OtherKey { what } => {
                let file = self.data.join("seal.key");
                format!("{} is not the key that the {what} is sealed with", file.display())
            }
            error => sentence(error),
        };
        let failure = Failure { code: Some(error.code().to_owned()), ..Failure::plain(exit_of(error), message) };
        match fix_of(error) {
            Some(fix) => failure.fix(fix),
            None => failure,
        }
    }
}

/// The error with everything that it was caused by, said once.
fn sentence(error: &BackupError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

fn exit_of(error: &BackupError) -> Exit {
    match error {
        BackupError::NoDatabase { .. } | BackupError::File(_) => Exit::NotFound,
        BackupError::NotABackup { .. } | BackupError::Damaged { .. } => Exit::Invalid,
        BackupError::OtherVersion { .. }
        | BackupError::OtherKey { .. }
        | BackupError::NotEmpty { .. }
        | BackupError::Led { .. } => Exit::Conflict,
        BackupError::Unsettled(_) | BackupError::Store(_) => Exit::Unexpected,
    }
}

fn fix_of(error: &BackupError) -> Option<&'static str> {
    Some(match error {
        BackupError::NoDatabase { .. } => "name it with --data or --database, as to `rebar serve`",
        BackupError::NotABackup { .. } => "name a file that `rebar backup` has written",
        BackupError::Damaged { .. } => "take another copy of it, or an older backup; nothing was changed",
        BackupError::OtherVersion { .. } => {
            "use the version of rebar that made it; an engine of a later version then brings the database up to date"
        }
        BackupError::OtherKey { .. } => "put the seal.key of the engine that it is of into that directory",
        BackupError::NotEmpty { .. } => "restore into a new database, or move the old one away first",
        BackupError::Led { .. } => "stop the engine",
        BackupError::File(_) | BackupError::Unsettled(_) | BackupError::Store(_) => return None,
    })
}
