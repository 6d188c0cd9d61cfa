//! `$REBAR_CONTROL`: what a role asks of the agent. How it is written is in `helper/control.rs`.

use std::{os::unix::fs::MetadataExt, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    disk::{durable, layout::AttemptDir},
    error::{Context, Error},
};

/// The largest file that is read.
const MAX_CONTROL: usize = 64 * 1024;
/// The longest wait that a role may ask for.
const MAX_RETRY_AFTER: f64 = 7.0 * 24.0 * 3600.0;
/// What people can read in a line.
const MAX_TEXT: usize = 500;

/// What a role asks for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// `true`: reboot, then go on with the next phase; `"again"`: with the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot: Option<Value>,
    /// Seconds after which to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<f64>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How far a role is.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// From 0 to 100.
    pub percent: f64,
    /// For people.
    #[serde(default)]
    pub text: String,
}

/// Whether and how to go on after a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reboot {
    /// No reboot.
    No,
    /// Then the next phase.
    Next,
    /// Then the same phase.
    Again,
}

impl Control {
    /// Reads the file. A broken one is the role's mistake; the message says which.
    pub fn read(dir: &AttemptDir) -> Result<Result<Self, String>, Error> {
        let Some(bytes) = durable::read(&dir.control())? else { return Ok(Ok(Self::default())) };
        if bytes.len() > MAX_CONTROL {
            return Ok(Err(format!("$REBAR_CONTROL is larger than {MAX_CONTROL} bytes")));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Ok(Self::default()));
        }
        let control: Result<Self, _> = serde_json::from_slice(&bytes);
        Ok(control
            .map_err(|error| format!("$REBAR_CONTROL is not what the contract says: {error}"))
            .and_then(Self::checked))
    }

    /// Replaces the file, and leaves it to whom the directory belongs.
    pub fn write(&self, dir: &AttemptDir) -> Result<(), Error> {
        durable::replace(&dir.control(), &serde_json::to_vec(self).unwrap_or_default())?;
        let owner = std::fs::metadata(dir.io()).at(dir.io())?;
        std::os::unix::fs::chown(dir.control(), Some(owner.uid()), Some(owner.gid())).at(dir.control())
    }

    fn checked(self) -> Result<Self, String> {
        match &self.reboot {
            None | Some(Value::Bool(_)) => {}
            Some(Value::String(text)) if text == "again" => {}
            Some(_) => return Err("$REBAR_CONTROL: reboot is neither true nor \"again\"".to_owned()),
        }
        if self.retry_after.is_some_and(|seconds| !(0.0..=MAX_RETRY_AFTER).contains(&seconds)) {
            return Err("$REBAR_CONTROL: retry_after is not a number of seconds up to a week".to_owned());
        }
        Ok(self)
    }

    /// Whether the role wants the machine rebooted.
    pub fn reboot(&self) -> Reboot {
        match &self.reboot {
            Some(Value::Bool(true)) => Reboot::Next,
            Some(Value::String(_)) => Reboot::Again,
            _ => Reboot::No,
        }
    }

    /// After how long the role wants to be tried again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after.map(Duration::from_secs_f64)
    }
}

/// One line of at most this many letters.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::layout::State;

    fn read(text: &str) -> Result<Control, String> {
        let state = tempfile::tempdir().expect("directory");
        let root = state.path().join("attempts/1");
        std::fs::create_dir_all(root.join("io")).expect("directory");
        let dir = State::at(state.path()).expect("state").attempt(1);
        std::fs::write(dir.control(), text).expect("written");
        Control::read(&dir).expect("readable")
    }

    #[test]
    fn what_a_role_asks_for_has_bounds() {
        let padded = |length: usize| format!("{{{}}}", " ".repeat(length - 2));
        assert!(read(&padded(MAX_CONTROL)).is_ok());
        assert!(read(&padded(MAX_CONTROL + 1)).is_err_and(|it| it.contains("larger than 65536 bytes")));
        let wait = |seconds: f64| read(&format!("{{\"retry_after\": {seconds}}}"));
        assert!(wait(MAX_RETRY_AFTER).is_ok());
        assert!(wait(MAX_RETRY_AFTER + 1.0).is_err_and(|it| it.contains("a week")));
        assert!(wait(-1.0).is_err());
        assert_eq!(one_line(&"x".repeat(MAX_TEXT)).len(), MAX_TEXT);
        assert_eq!(one_line(&"x ".repeat(MAX_TEXT)).len(), MAX_TEXT);
    }
}
