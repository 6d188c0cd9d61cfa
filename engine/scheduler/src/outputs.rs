//! Checks the outputs of an attempt against what its role declares, before anything downstream sees them.

use std::collections::BTreeMap;

use rebar_model::{Failure, FailureKind, Ident, Phase, RoleSpec};
use serde_json::Value;

/// Checks raw outputs, with secrets open. The failure never holds a value that is declared secret.
pub fn check_outputs(role: &RoleSpec, outputs: &BTreeMap<Ident, Value>) -> Result<(), Failure> {
    let mut mistakes = Vec::new();
    for name in outputs.keys().filter(|name| !role.outputs.contains_key(*name)) {
        mistakes.push(format!("output `{name}` is not declared in role.yaml"));
    }
    for (name, spec) in &role.outputs {
        let Some(value) = outputs.get(name) else {
            mistakes.push(format!("output `{name}` is missing: write it with `rebar-output {name} VALUE`"));
            continue;
        };
        match jsonschema::validator_for(&spec.schema) {
            Err(error) => mistakes.push(format!("output `{name}`: its schema is wrong: {error}")),
            Ok(validator) => {
                for error in validator.iter_errors(value) {
                    let what = if spec.secret { "does not match its schema".to_owned() } else { error.to_string() };
                    mistakes.push(format!("output `{name}`{}: {what}", place(&error.instance_path().to_string())));
                }
            }
        }
    }
    if mistakes.is_empty() {
        return Ok(());
    }
    Err(Failure {
        kind: FailureKind::BadOutputs,
        phase: Some(Phase::Apply),
        exit_code: None,
        message: mistakes.join("; "),
        retry_after: None,
    })
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!(" at {pointer}") }
}
