//! The program itself, without an engine: exit codes, where words go, what works offline.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
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
fn backups_need_the_key_and_the_database() {
    let home = tempfile::tempdir().unwrap();
    check(home.path(), "backup rebar.backup --data old", 5, "error[RB4105]");
    check(home.path(), "restore rebar.backup --data old", 5, "error[RB4105]");
    assert!(!home.path().join("old").exists(), "a mistyped directory is not made");
    fs::create_dir(home.path().join("old")).unwrap();
    fs::write(home.path().join("old/seal.key"), "07".repeat(32)).unwrap();
    check(home.path(), "backup rebar.backup --data old", 5, "error[RB4101]");
    check(home.path(), "restore rebar.backup --data old", 5, "error[RB8006]");
    check(home.path(), "restore old/seal.key --data old", 7, "error[RB4102]");
    let left: Vec<_> = fs::read_dir(home.path().join("old")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(!left.contains(&"rebar.db".into()) && !home.path().join("rebar.backup").exists(), "{left:?}");
}

#[test]
fn an_engine_that_is_not_there_is_said_so() {
    let home = tempfile::tempdir().unwrap();
    let output = engine(home.path(), 1, &["deployment", "ls"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(11), "{stderr}");
    assert!(stderr.contains("https://127.0.0.1:1 cannot be reached") && stderr.contains("fix:"), "{stderr}");
    assert!(!stderr.contains("secret-token"), "tokens are never printed");
}

/// An engine at a port of this host, with a token and a CA.
fn engine(home: &Path, port: u16, arguments: &[&str]) -> Command {
    let ca = home.join("ca.pem");
    fs::write(&ca, include_str!("ca.pem")).expect("the home can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rebar"));
    command.args(arguments).env_clear().env("HOME", home).env("REBAR_CA_FILE", &ca);
    command.env("REBAR_URL", format!("https://127.0.0.1:{port}")).env("REBAR_TOKEN", "secret-token");
    command
}

#[test]
fn waiting_bears_an_engine_that_is_away_until_its_own_time_is_up() {
    let home = tempfile::tempdir().unwrap();
    let output = engine(home.path(), 1, &["wait", "demo", "--timeout", "1500ms"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(11), "{stderr}");
    assert_eq!(stderr.matches("trying again").count(), 1, "{stderr}");
    assert!(stderr.contains("error[RB8002]") && output.stdout.is_empty(), "{stderr}");
}

#[test]
fn waiting_without_a_timeout_goes_on_until_the_engine_is_there() {
    let home = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut waiting = engine(home.path(), free.port(), &["wait", "demo"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().ends_with("trying again"));
    let came = TcpListener::bind(free).and_then(|engine| engine.accept());
    // What answers there is no engine, which no waiting changes.
    drop(came.unwrap());
    waiting.kill().unwrap();
    waiting.wait().unwrap();
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
fn what_a_package_uses_is_named_with_its_folder() {
    let home = tempfile::tempdir().unwrap();
    let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../workloads/manifest/tests/packages");
    let lint = |arguments: &str| {
        let line = format!("workload lint {}", arguments.replace('@', &format!("{packages}/")));
        let output = rebar(home.path(), &line.split_whitespace().collect::<Vec<_>>());
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stdout, _) = lint("@full");
    assert!(code == Some(0) && stdout.contains("warning[RB1208]") && stdout.contains("--with DIR"), "{stdout}");
    let (code, stdout, _) = lint("@full --with @base");
    assert!(code == Some(0) && !stdout.contains("RB1208") && !stdout.contains("RB1201"), "{stdout}");
    let (code, stdout, stderr) = lint("@base --with @full");
    assert!(code == Some(7) && stdout.is_empty() && stderr.contains("RB1208"), "{stderr}");
    let (code, ..) = lint("@full --with @nowhere");
    assert_eq!(code, Some(5));
}

#[test]
fn lists_are_arranged_by_their_columns() {
    let home = tempfile::tempdir().unwrap();
    let output = rebar(home.path(), &["context", "list", "--columns", "engine,CONTEXT", "--sort", "-engine"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ENGINE  CONTEXT\n");
    check(home.path(), "context list --columns url", 2, "there is no column `url`; there are context, engine, ca");
    check(home.path(), "context list --sort url", 2, "error[RB8007]");
    check(home.path(), "context list -o json --sort engine", 2, "other formats have none");
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
    let page = rebar(home.path(), &["man"]).stdout;
    assert!(String::from_utf8_lossy(&page).contains(".TH rebar 1"));
    check(home.path(), "man --dir share/man1", 0, "written into share/man1");
    for page in ["rebar.1", "rebar-plan.1", "rebar-node-add.1"] {
        let text = fs::read_to_string(home.path().join("share/man1").join(page)).unwrap();
        assert!(text.contains(".SH OPTIONS"), "{page}");
    }
    check(home.path(), "man --dir /dev/null/man1", 5, "cannot be written into /dev/null/man1");
    for topic in ["exit-codes", "states", "addressing", "errors", "environment", "RB1101", "RB9999", "node add"] {
        let words: Vec<&str> = ["help"].into_iter().chain(topic.split(' ')).collect();
        assert!(rebar(home.path(), &words).status.success(), "{topic}");
    }
}

/// The Swarm of the catalog, as a folder.
fn swarm() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../workloads/catalog/docker-swarm").to_owned()
}

#[test]
fn rehearsals_need_no_engine_and_say_what_they_do_not_understand() {
    let home = tempfile::tempdir().unwrap();
    let swarm = swarm();
    check(home.path(), "rehearse demo", 4, "error[RB8001]");
    check(home.path(), "rehearse ./nowhere", 5, "error[RB8006]");
    for (arguments, code, part) in [
        (
            "--fault fail=101%",
            2,
            "error[RB7001]: fault `fail=101%`: `101%`: write a percentage above 0, and at most 100%",
        ),
        ("--fault lose:db=1@5m", 2, "docker-swarm@1.0.0 has no group `db`; it has manager, worker"),
        ("--group workers=5", 2, "error[RB7002]: the workload has no group `workers`; it has `manager`, `worker`"),
        ("--nodes 0", 2, "error[RB7002]: 0 nodes"),
        ("--group manager=2", 7, "RB3005"),
        ("--topology huge", 2, "it has dev, fleet, ha, solo"),
        ("--duration web=5s", 2, "error[RB7003]"),
        ("--duration docker-engine=2m..5s", 2, "cannot take longer"),
        ("--set demo_port=many", 7, "RB3012"),
        ("--runs 0", 2, "0 is not in"),
    ] {
        check(home.path(), &format!("rehearse {swarm} {arguments}"), code, part);
    }
}

#[test]
fn a_package_with_mistakes_is_linted_instead_of_rehearsed() {
    let home = tempfile::tempdir().unwrap();
    assert!(rebar(home.path(), &["workload", "init", "store", "-q"]).status.success());
    let manifest = home.path().join("store/workload.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("groups:", "gruops:")).unwrap();
    let output = rebar(home.path(), &["rehearse", "./store"]);
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&output.stdout).contains("gruops"), "{output:?}");
}

#[test]
fn equal_seeds_rehearse_the_very_same() {
    let home = tempfile::tempdir().unwrap();
    let swarm = swarm();
    let faults = ["-f", "tempfail=10%", "-f", "engine-restart@1m", "-f", "cut:worker=50%@2m+1m"];
    let run = |seed: &str| {
        let arguments = ["rehearse", &swarm, "--nodes", "6", "--seed", seed, "-q", "-o", "json"];
        rebar(home.path(), &[&arguments[..], &faults].concat())
    };
    let (first, again) = (run("7"), run("7"));
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    assert_eq!(String::from_utf8_lossy(&first.stdout), String::from_utf8_lossy(&again.stdout));
    let told: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!((&told["status"]["active"], &told["seed"], &told["nodes"]), (&true.into(), &7.into(), &6.into()));
    assert!(told["seconds"].as_f64() >= told["calm"]["seconds"].as_f64(), "{told:#}");
    assert_ne!(first.stdout, run("8").stdout);
}

#[test]
fn a_rehearsal_ends_as_the_apply_would() {
    let home = tempfile::tempdir().unwrap();
    let swarm = swarm();
    let ends = |arguments: &[&str]| {
        let output = rebar(home.path(), &[&["rehearse", &swarm, "-n", "4", "--seed", "1"][..], arguments].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, shown) = ends(&["-f", "fail:docker-engine=100%"]);
    assert_eq!(code, Some(8));
    assert!(shown.contains("docker-engine@manager-1") && shown.contains("Who acts  you"), "{shown}");
    let (code, shown) = ends(&["-f", "lose:worker=1@5s"]);
    assert_eq!(code, Some(9));
    assert!(shown.contains("is away since") && shown.contains("does not become active"), "{shown}");
    assert_eq!(ends(&["--runs", "3", "-o", "name"]), (Some(0), "docker-swarm\n".to_owned()));
}
