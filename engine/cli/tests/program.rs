//! The program itself, without an engine: exit codes, where words go, what works offline.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn rebar(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rebar"))
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .current_dir(home)
        .output()
        .expect("the program can be started")
}

fn check(home: &Path, line: &str, code: i32, part: &str) {
    let output = rebar(home, &line.split_whitespace().collect::<Vec<_>>());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}: {stderr}");
    assert!(stderr.contains(part), "{line}: {stderr}");
    if code != 0 {
        assert!(output.stdout.is_empty(), "{line}: talk is not data");
    }
}

#[test]
fn programs_can_rely_on_exit_codes() {
    let home = tempfile::tempdir().unwrap();
    check(home.path(), "nonsense", 2, "unrecognized subcommand");
    check(home.path(), "redeploy demo --yes", 2, "a value is required");
    check(home.path(), "status", 4, "error[RB8001]");
    check(home.path(), "workload lint nowhere", 5, "error[RB8006]");
    check(home.path(), "help nonsense", 2, "exit-codes");
    check(home.path(), "--version", 0, "");
}

#[test]
fn an_engine_that_is_not_there_is_said_so() {
    let home = tempfile::tempdir().unwrap();
    let ca = home.path().join("ca.pem");
    fs::write(&ca, include_str!("ca.pem")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_rebar"))
        .args(["deployment", "ls"])
        .env_clear()
        .env("HOME", home.path())
        .env("REBAR_URL", "https://127.0.0.1:1")
        .env("REBAR_TOKEN", "secret-token")
        .env("REBAR_CA_FILE", &ca)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(11), "{stderr}");
    assert!(stderr.contains("https://127.0.0.1:1 cannot be reached") && stderr.contains("fix:"), "{stderr}");
    assert!(!stderr.contains("secret-token"), "tokens are never printed");
}

#[test]
fn a_new_package_passes_the_linter_and_a_broken_one_does_not() {
    let home = tempfile::tempdir().unwrap();
    check(home.path(), "workload init store", 0, "rebar workload lint store");
    check(home.path(), "workload lint store", 0, "nothing to complain about");
    check(home.path(), "workload init store", 6, "not empty");
    let role = home.path().join("store/roles/client/role.yaml");
    let text = fs::read_to_string(&role).unwrap();
    fs::write(&role, text.replace("runner:", "runer:").replace("timeout: 1m", "timeout: soon")).unwrap();
    let output = rebar(home.path(), &["workload", "lint", "store", "--ascii"]);
    assert_eq!(output.status.code(), Some(7));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.is_ascii() && stdout.contains("roles/client/role.yaml:"), "{stdout}");
    let output = rebar(home.path(), &["workload", "lint", "store", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["errors"], 2, "every mistake at once: {json}");
    assert!(json["diagnostics"].as_array().unwrap().iter().all(|it| it["line"].as_u64() > Some(0)));
}

#[test]
fn schemas_and_completions_need_no_engine() {
    let home = tempfile::tempdir().unwrap();
    for document in ["role", "workload"] {
        let output = rebar(home.path(), &["workload", "schema", document]);
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(rebar(home.path(), &["completion", shell]).status.success());
    }
    for topic in ["exit-codes", "states", "addressing", "errors", "environment", "RB1101", "RB9999", "node add"] {
        let words: Vec<&str> = ["help"].into_iter().chain(topic.split(' ')).collect();
        assert!(rebar(home.path(), &words).status.success(), "{topic}");
    }
}
