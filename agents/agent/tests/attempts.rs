//! What a role gets and what its end means: inputs, outputs, exit codes, limits, logs.

mod common;

use std::time::Duration;

use common::{
    agent::{is_alive, lines, until},
    role::{dispatch, phase, wire},
    setup::{Setup, failed, succeeded},
};
use rebar_proto::v1::{Cancel, FailureKind, Phase, engine_message};

#[tokio::test]
async fn inputs_go_in_and_outputs_come_out() {
    let setup = Setup::new().await;
    let script = r#"#!/bin/bash
set -eu
[ "$(rebar-input greeting)" = "hello world" ]
[ "$(rebar-input count)" = 3 ]
[ "$(rebar-input nested)" = '{"a":[1,2]}' ]
[ "$(rebar-input hosts --lines | wc -l)" = 2 ]
if rebar-input nothing 2>err; then exit 9; fi
grep -q 'declared inputs: count, greeting, hosts, nested' err
rebar-output address 10.0.0.1
rebar-output ports '[80,443]' --json
printf 'line one\nline two\n' | rebar-output text -
rebar-control note all is well
stat -c %a "$REBAR_INPUTS"
pwd; cat extra/file.txt
env | sort
"#;
    let files = [("apply.sh", script), ("extra/file.txt", "content of the role\n")];
    let mut order = setup.order(1, &files, vec![phase(Phase::Apply, "apply.sh")]);
    order.inputs_json = r#"{"greeting":"hello world","count":3,"nested":{"a":[1,2]},"hosts":["a","b"]}"#.to_owned();
    order.phases[0].env.insert("ROLE_SAYS".to_owned(), "hi".to_owned());
    let result = setup.run(order).await;
    let log = setup.engine.log(1);
    let outcome = succeeded(&result);
    let outputs: serde_json::Value = serde_json::from_str(&outcome.outputs_json).expect("JSON");
    assert_eq!(outputs, serde_json::json!({"address": "10.0.0.1", "ports": [80, 443], "text": "line one\nline two"}));
    assert_eq!(outcome.note, "all is well");
    assert!(!outcome.converged);
    assert_eq!(result.log_bytes, log.len() as u64);
    assert!(log.starts_with("600\n"), "{log}");
    assert!(log.contains("content of the role\n") && log.contains("/attempts/1/work\n"), "{log}");
    let names: Vec<&str> = log.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let shell_adds = ["PWD", "OLDPWD", "SHLVL", "_"];
    let own: Vec<&str> = names.into_iter().filter(|name| !shell_adds.contains(name)).collect();
    let expected = [
        "HOME",
        "LANG",
        "PATH",
        "REBAR_ATTEMPT",
        "REBAR_BIN",
        "REBAR_CONTROL",
        "REBAR_DIFF",
        "REBAR_INPUTS",
        "REBAR_OUTPUTS",
        "REBAR_PHASE",
        "ROLE_SAYS",
    ];
    assert_eq!(own, expected);
    until("the attempt's directory to go", || !setup.agent.attempt_dir(1).exists()).await;
}

#[tokio::test]
async fn every_exit_code_has_its_meaning() {
    let setup = Setup::new().await;
    let result = setup.apply(1, "echo working; echo 'disk is full' >&2; exit 3").await;
    let failure = failed(&result);
    assert_eq!((failure.kind(), failure.exit_code, failure.phase()), (FailureKind::Error, Some(3), Phase::Apply));
    assert_eq!(failure.message, "apply ended with exit code 3: disk is full");

    let result = setup.apply(2, "exit 75").await;
    assert_eq!((failed(&result).kind(), failed(&result).exit_code), (FailureKind::Tempfail, Some(75)));

    let result = setup.apply(3, "rebar-control retry-after 90; exit 1").await;
    assert_eq!(failed(&result).kind(), FailureKind::Tempfail);
    assert_eq!(failed(&result).retry_after.map(|after| after.seconds), Some(90));

    let result = setup.apply(4, "kill -9 $$").await;
    assert_eq!((failed(&result).kind(), failed(&result).exit_code), (FailureKind::Error, None));
    assert_eq!(failed(&result).message, "apply was killed by signal 9");

    let order = setup.order(5, &[], vec![phase(Phase::Apply, "apply.sh")]);
    let result = setup.run(order).await;
    assert_eq!(failed(&result).kind(), FailureKind::Setup);
    assert!(failed(&result).message.contains("there is no file \"apply.sh\""), "{:?}", failed(&result).message);

    let mut order = setup.order(6, &[("apply.sh", "true")], vec![phase(Phase::Apply, "apply.sh")]);
    order.user = "nobody-of-that-name".to_owned();
    let result = setup.run(order).await;
    assert_eq!(failed(&result).kind(), FailureKind::Setup);

    let result = setup.run(dispatch(7, &"ab".repeat(32), vec![phase(Phase::Apply, "apply.sh")])).await;
    assert_eq!(failed(&result).kind(), FailureKind::Setup);
    assert!(failed(&result).message.contains("there is no such content"), "{:?}", failed(&result).message);
}

#[tokio::test]
async fn a_check_that_says_yes_skips_apply() {
    let setup = Setup::new().await;
    let files = [
        ("check.sh", "test -e $0.never && exit 0; rebar-output seen yes; exit $(rebar-input code)"),
        ("apply.sh", "echo applied"),
        ("verify.sh", "echo verified"),
    ];
    let phases =
        vec![phase(Phase::Check, "check.sh"), phase(Phase::Apply, "apply.sh"), phase(Phase::Verify, "verify.sh")];
    for (attempt, code, converged, log) in [(1, 0, true, "verified\n"), (2, 1, false, "applied\nverified\n")] {
        let mut order = setup.order(attempt, &files, phases.clone());
        order.inputs_json = format!("{{\"code\":{code}}}");
        let result = setup.run(order).await;
        assert_eq!(succeeded(&result).converged, converged);
        assert_eq!(succeeded(&result).outputs_json, r#"{"seen":"yes"}"#);
        assert_eq!(setup.engine.log(attempt), log);
    }
    let mut order = setup.order(3, &files, phases);
    order.inputs_json = r#"{"code":2}"#.to_owned();
    let result = setup.run(order).await;
    assert_eq!((failed(&result).phase(), failed(&result).exit_code), (Phase::Check, Some(2)));
}

#[tokio::test]
async fn verify_is_repeated_until_it_holds() {
    let setup = Setup::new().await;
    let script = "echo x >> count; n=$(wc -l < count); echo run $n; [ $n -ne 1 ] && [ $n -ne 3 ]";
    let mut work = phase(Phase::Verify, "verify.sh");
    work.every = wire(Duration::from_millis(10));
    work.successes = 2;
    let result = setup.run(setup.order(1, &[("verify.sh", script)], vec![work.clone()])).await;
    succeeded(&result);
    assert_eq!(setup.engine.log(1), "run 1\nrun 2\nrun 3\nrun 4\nrun 5\n");

    work.timeout = wire(Duration::from_secs(1));
    let result = setup.run(setup.order(2, &[("verify.sh", "exit 4")], vec![work])).await;
    assert_eq!((failed(&result).kind(), failed(&result).exit_code), (FailureKind::Timeout, Some(4)));
}

#[tokio::test]
async fn a_timeout_ends_the_whole_family() {
    let setup = Setup::new().await;
    let pids = setup.agent.file("pids");
    // A child in the group, and a grandchild that left it for a session of its own.
    let script = format!(
        "trap '' TERM\nsleep 1000 & echo $! >> {0}\nsetsid sh -c 'echo $$ >> {0}; exec sleep 1000' &\nwhile true; do sleep 0.1; done",
        pids.display()
    );
    let mut work = phase(Phase::Apply, "apply.sh");
    work.timeout = wire(Duration::from_millis(500));
    let result = setup.run(setup.order(1, &[("apply.sh", &script)], vec![work])).await;
    assert_eq!(failed(&result).kind(), FailureKind::Timeout);
    assert_eq!(failed(&result).message, "apply was killed after 0.5 s");
    let pids = std::fs::read_to_string(pids).expect("pids");
    assert_eq!(pids.lines().count(), 2);
    assert!(pids.lines().all(|pid| !is_alive(pid)), "{pids}");
}

#[tokio::test]
async fn what_a_phase_leaves_behind_is_ended() {
    let setup = Setup::new().await;
    let pids = setup.agent.file("pids");
    let script = format!(
        "sleep 1000 & echo $! >> {0}\n(setsid sh -c 'echo $$ >> {0}; exec sleep 1000' >/dev/null 2>&1 &)\nwhile [ $(wc -l < {0}) -lt 2 ]; do sleep 0.01; done",
        pids.display()
    );
    succeeded(&setup.apply(1, &script).await);
    let pids = std::fs::read_to_string(pids).expect("pids");
    assert!(pids.lines().all(|pid| !is_alive(pid)), "{pids}");
}

#[tokio::test]
async fn a_cancelled_attempt_ends_and_says_so() {
    let setup = Setup::new().await;
    let order = setup.order(1, &[("apply.sh", "echo begun; sleep 1000")], vec![phase(Phase::Apply, "apply.sh")]);
    setup.engine.dispatch(order).await;
    setup.engine.log_with(1, "begun").await;
    setup.engine.send(engine_message::Body::Cancel(Cancel { attempt: 1, epoch: 1 })).await;
    let result = setup.engine.result(1).await;
    assert_eq!(failed(&result).kind(), FailureKind::Cancelled);
    // One that never came is answered as well, and does not run when it comes after all.
    setup.engine.send(engine_message::Body::Cancel(Cancel { attempt: 2, epoch: 1 })).await;
    assert_eq!(failed(&setup.engine.result(2).await).kind(), FailureKind::Cancelled);
}

#[tokio::test]
async fn a_newer_attempt_of_the_same_node_role_ends_the_one_before() {
    let setup = Setup::new().await;
    let marks = setup.agent.file("marks");
    let script = format!(
        "trap 'echo end >> {0}; exit 1' TERM; echo begun; echo begin >> {0}; sleep 1000 & wait",
        marks.display()
    );
    let mut first = setup.order(1, &[("apply.sh", &script)], vec![phase(Phase::Apply, "apply.sh")]);
    first.node_role = "demo/same@node-1".to_owned();
    setup.engine.dispatch(first).await;
    setup.engine.log_with(1, "begun").await;
    let second = format!("echo second >> {}", marks.display());
    let mut second = setup.order(2, &[("apply.sh", &second)], vec![phase(Phase::Apply, "apply.sh")]);
    second.node_role = "demo/same@node-1".to_owned();
    succeeded(&setup.run(second).await);
    assert_eq!(failed(&setup.engine.result(1).await).kind(), FailureKind::Cancelled);
    assert_eq!(std::fs::read_to_string(marks).expect("marks"), "begin\nend\nsecond\n");
}

#[tokio::test]
async fn the_log_comes_while_the_role_runs_and_without_secrets() {
    let setup = Setup::new().await;
    let go = setup.agent.file("go");
    let script = format!(
        r#"echo "password: $(rebar-input password)"
printf 'half of it: hunt'; sleep 0.05; echo 'er22-secret'
cat $REBAR_INPUTS; echo
echo 'generated-token-99' | rebar-output token -
echo "token is generated-token-99"
echo "public: visible"
while [ ! -e {} ]; do sleep 0.01; done
exit 0"#,
        go.display()
    );
    let mut order = setup.order(1, &[("apply.sh", &script)], vec![phase(Phase::Apply, "apply.sh")]);
    order.inputs_json = r#"{"password":"hunter22-secret","key":"-----BEGIN\nabc/def+ghi=\n-----END"}"#.to_owned();
    order.secret_inputs = vec!["password".to_owned(), "key".to_owned()];
    order.secret_outputs = vec!["token".to_owned()];
    setup.engine.dispatch(order).await;
    let log = setup.engine.log_with(1, "visible").await;
    assert!(setup.engine.with(|seen| seen.results.is_empty()), "it still runs");
    std::fs::write(go, "").expect("go");
    let result = setup.engine.result(1).await;
    assert_eq!(succeeded(&result).outputs_json, r#"{"token":"generated-token-99"}"#);
    for secret in ["hunter22-secret", "generated-token-99", "abc/def+ghi="] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    assert!(log.contains("password: ***\nhalf of it: ***\n") && log.contains("token is ***\n"), "{log}");
    assert!(!setup.agent.log().contains("hunter22"));
}

#[tokio::test]
async fn a_failure_does_not_tell_secrets() {
    let setup = Setup::new().await;
    let mut order = setup.order(
        1,
        &[("apply.sh", "rebar-control note pw $(rebar-input pw); echo bad password $(rebar-input pw); exit 1")],
        vec![phase(Phase::Apply, "apply.sh")],
    );
    order.inputs_json = r#"{"pw":"correct horse"}"#.to_owned();
    order.secret_inputs = vec!["pw".to_owned()];
    let result = setup.run(order).await;
    assert_eq!(failed(&result).message, "apply ended with exit code 1: bad password ***");
}

#[tokio::test]
async fn progress_is_shown() {
    let setup = Setup::new().await;
    succeeded(&setup.apply(1, "rebar-control progress 40 half way").await);
    let progress = setup.engine.until("progress", |seen| seen.progress.first().cloned()).await;
    assert_eq!((progress.percent, progress.text.as_str(), progress.phase()), (40, "half way", Phase::Apply));
}

#[tokio::test]
async fn outputs_that_are_not_an_object_are_a_failure() {
    let setup = Setup::new().await;
    for (attempt, script) in [
        (1, "echo '[1]' > $REBAR_OUTPUTS"),
        (2, "echo '{\"a\": tru' > $REBAR_OUTPUTS"),
        (3, "head -c 1100000 /dev/zero | tr '\\0' x > $REBAR_OUTPUTS"),
    ] {
        let result = setup.apply(attempt, script).await;
        assert_eq!(failed(&result).kind(), FailureKind::BadOutputs, "{script}");
        assert!(failed(&result).message.starts_with("$REBAR_OUTPUTS "), "{:?}", failed(&result).message);
    }
    let result = setup.apply(4, "echo '{\"reboot\": 7}' > $REBAR_CONTROL").await;
    assert_eq!(failed(&result).kind(), FailureKind::Error);
}

#[tokio::test]
async fn a_role_may_run_as_another_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let setup = Setup::new().await;
    // The test's own directory must let others through, as /var/lib does.
    std::fs::set_permissions(setup.agent.home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("mode");
    let script = "id -un; rebar-output who \"$(id -un)\"; rebar-input secret; touch new-file; ls ../dispatch.pb ../log 2>&1; cat ../dispatch.pb 2>/dev/null && exit 1; exit 0";
    let mut order = setup.order(1, &[("apply.sh", script)], vec![phase(Phase::Apply, "apply.sh")]);
    order.user = "nobody".to_owned();
    order.inputs_json = r#"{"secret":"for nobody"}"#.to_owned();
    let result = setup.run(order).await;
    assert_eq!(succeeded(&result).outputs_json, r#"{"who":"nobody"}"#);
    assert!(setup.engine.log(1).starts_with("nobody\nfor nobody\n"), "{}", setup.engine.log(1));
}

#[tokio::test]
async fn content_is_fetched_once_and_resumed() {
    let setup = Setup::new().await;
    let big = "0123456789abcdef".repeat(4096);
    let files = [("apply.sh", "cksum < big"), ("big", big.as_str())];
    setup.engine.manner(|manner| manner.break_fetch_after = Some(20_000));
    succeeded(&setup.run(setup.order(1, &files, vec![phase(Phase::Apply, "apply.sh")])).await);
    succeeded(&setup.run(setup.order(2, &files, vec![phase(Phase::Apply, "apply.sh")])).await);
    assert_eq!(setup.engine.log(1), setup.engine.log(2));
    let offsets: Vec<u64> = setup.engine.with(|seen| seen.fetches.iter().map(|fetch| fetch.offset).collect());
    assert_eq!(offsets, [0, 20_000]);
}

#[tokio::test]
async fn content_that_a_silent_engine_holds_back_is_fetched_in_the_next_session() {
    let setup = Setup::new().await;
    setup.engine.manner(|manner| (manner.break_fetch_after, manner.broken_is_silent) = (Some(100), true));
    let order = setup.order(1, &[("apply.sh", "true")], vec![phase(Phase::Apply, "apply.sh")]);
    setup.engine.dispatch(order).await;
    setup.engine.until("the transfer has begun", |seen| (!seen.fetches.is_empty()).then_some(())).await;
    setup.engine.end_session();
    succeeded(&setup.engine.result(1).await);
}

#[tokio::test]
async fn many_attempts_run_side_by_side() {
    let setup = Setup::new().await;
    let marks = setup.agent.file("marks");
    let script = format!("echo x >> {}; head -c 300000 /dev/zero | tr '\\0' y", marks.display());
    for attempt in 1..=20 {
        setup
            .engine
            .dispatch(setup.order(attempt, &[("apply.sh", &script)], vec![phase(Phase::Apply, "apply.sh")]))
            .await;
    }
    for attempt in 1..=20 {
        let result = setup.engine.result(attempt).await;
        succeeded(&result);
        assert_eq!(result.log_bytes, 300_000);
        assert_eq!(setup.engine.log(attempt).len(), 300_000, "the log is there before the result");
    }
    assert_eq!(lines(&marks), 20);
}
