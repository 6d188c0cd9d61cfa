//! `$REBAR_OUTPUTS`: read at the end as the attempt's outputs, and all along for the secrets in it.

use std::{os::unix::fs::MetadataExt, path::PathBuf};

use rebar_proto::MAX_OUTPUTS;
use serde_json::{Map, Value};

use crate::{
    disk::{durable, layout::AttemptDir},
    error::Error,
    redact::Redactor,
};

/// The outputs as one JSON object, or what is wrong with them.
pub fn read(dir: &AttemptDir) -> Result<Result<String, String>, Error> {
    let Some(bytes) = durable::read(&dir.outputs())? else { return Ok(Ok("{}".to_owned())) };
    if bytes.len() > MAX_OUTPUTS {
        return Ok(Err(format!("$REBAR_OUTPUTS has {} bytes, more than {MAX_OUTPUTS}", bytes.len())));
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Ok("{}".to_owned()));
    }
    let outputs: Result<Map<String, Value>, _> = serde_json::from_slice(&bytes);
    // The parser's own words may quote a value, which may be a secret; its position does not.
    Ok(outputs.map(|outputs| Value::Object(outputs).to_string()).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        format!("$REBAR_OUTPUTS is not one JSON object ({place})")
    }))
}

/// Notices secrets as a role writes them.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    secret: Vec<String>,
    seen: Option<(u64, u64, i64, i64)>,
}

impl Watch {
    /// Watches for these outputs.
    pub fn new(dir: &AttemptDir, secret: &[String]) -> Self {
        Self { path: dir.outputs(), secret: secret.to_vec(), seen: None }
    }

    /// Teaches the redactor what has been written since the last look.
    pub fn look(&mut self, redactor: &mut Redactor) {
        if self.secret.is_empty() {
            return;
        }
        let Ok(metadata) = std::fs::metadata(&self.path) else { return };
        let now = Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()));
        if now == self.seen || metadata.size() > MAX_OUTPUTS as u64 {
            return;
        }
        let Ok(bytes) = std::fs::read(&self.path) else { return };
        // While a role is writing, the file may be half an object: look again.
        let Ok(outputs) = serde_json::from_slice::<Map<String, Value>>(&bytes) else { return };
        self.seen = now;
        self.secret.iter().filter_map(|name| outputs.get(name)).for_each(|value| redactor.learn(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::layout::State;

    #[test]
    fn outputs_are_as_large_as_the_engine_takes_them() {
        let state = tempfile::tempdir().expect("directory");
        let root = state.path().join("attempts/1");
        std::fs::create_dir_all(root.join("io")).expect("directory");
        let dir = State::at(state.path()).expect("state").attempt(1);
        let write = |length: usize| {
            let text = format!("{{\"a\":\"{}\"}}", "x".repeat(length - "{\"a\":\"\"}".len()));
            std::fs::write(dir.outputs(), text).expect("written");
            read(&dir).expect("readable")
        };
        assert!(write(MAX_OUTPUTS).is_ok());
        assert!(write(MAX_OUTPUTS + 1).is_err_and(|it| it.contains("more than 1048576")));
    }
}
