//! What outlives what: attempts outlive engines, agents and boots, and nothing runs twice.

mod common;

use common::{
    agent::{Agent, is_alive, lines, until},
    engine::Engine,
    role::{archive, dispatch, phase},
};
use rebar_proto::v1::{
    AttemptResult, Cancel, Dispatch, FailureKind, Phase, PhaseWork, RebootPolicy, attempt_result::Outcome,
    engine_message,
};

fn order(engine: &Engine, attempt: u64, files: &[(&str, &str)], phases: Vec<PhaseWork>) -> Dispatch {
    let (digest, bytes) = archive(files);
    engine.content(&digest, bytes);
    dispatch(attempt, &digest, phases)
}

fn apply(engine: &Engine, attempt: u64, script: &str) -> Dispatch {
    order(engine, attempt, &[("apply.sh", script)], vec![phase(Phase::Apply, "apply.sh")])
}

/// An order for a role whose `role.yaml` says this about reboots.
fn with_reboot(policy: RebootPolicy, order: Dispatch) -> Dispatch {
    Dispatch { reboot: policy.into(), ..order }
}

fn is_success(result: &AttemptResult) -> bool {
    matches!(result.outcome, Some(Outcome::Succeeded(_)))
}

/// A script that leaves a mark, says so, and waits until it may end.
fn waiting(agent: &Agent) -> String {
    let (marks, go) = (agent.file("marks"), agent.file("go"));
    format!(
        "echo x >> {}; echo begun; while [ ! -e {} ]; do sleep 0.01; done; echo ended; rebar-output done yes",
        marks.display(),
        go.display()
    )
}

#[tokio::test]
async fn work_goes_on_without_an_engine_and_the_result_arrives_later() {
    let mut engine = Engine::start().await;
    let agent = Agent::running(&engine).await;
    engine.dispatch(apply(&engine, 1, &waiting(&agent))).await;
    engine.log_with(1, "begun").await;
    engine.stop().await;
    std::fs::write(agent.file("go"), "").expect("go");
    until("the end of the attempt", || agent.attempt_dir(1).join("result.pb").exists()).await;
    engine.restart().await;
    assert!(is_success(&engine.result(1).await));
    assert_eq!(engine.log(1), "begun\nended\n");
    assert_eq!(lines(&agent.file("marks")), 1);
    until("the attempt's directory to go", || !agent.attempt_dir(1).exists()).await;
}

#[tokio::test]
async fn what_is_not_acknowledged_is_offered_again() {
    let mut engine = Engine::start().await;
    engine.manner(|manner| manner.acknowledges = false);
    let agent = Agent::running(&engine).await;
    engine.dispatch(apply(&engine, 1, "echo hello")).await;
    engine.result(1).await;
    engine.stop().await;
    engine.manner(|manner| manner.acknowledges = true);
    engine.restart().await;
    engine.until("the result again", |seen| (seen.results[&1].len() == 2).then_some(())).await;
    assert!(engine.with(|seen| seen.hellos[1].held.iter().any(|held| held.attempt == 1 && held.finished)));
    assert_eq!(engine.log(1), "hello\n");
    until("the attempt's directory to go", || !agent.attempt_dir(1).exists()).await;
}

#[tokio::test]
async fn a_killed_agent_leaves_its_attempt_running_and_finds_it_again() {
    let engine = Engine::start().await;
    let mut agent = Agent::running(&engine).await;
    let order = apply(&engine, 1, &waiting(&agent));
    engine.dispatch(order.clone()).await;
    engine.log_with(1, "begun").await;
    agent.kill().await;
    agent.start();
    engine.connected(2).await;
    assert!(engine.with(|seen| seen.hellos[1].held.iter().any(|held| held.attempt == 1 && !held.finished)));
    // The engine does not know whether its order arrived.
    engine.dispatch(order).await;
    std::fs::write(agent.file("go"), "").expect("go");
    assert!(is_success(&engine.result(1).await));
    assert_eq!(engine.log(1), "begun\nended\n");
    assert_eq!(lines(&agent.file("marks")), 1);
}

#[tokio::test]
async fn a_stopped_agent_leaves_its_attempt_running_too() {
    let engine = Engine::start().await;
    let mut agent = Agent::running(&engine).await;
    engine.dispatch(apply(&engine, 1, &waiting(&agent))).await;
    engine.log_with(1, "begun").await;
    agent.stop().await;
    std::fs::write(agent.file("go"), "").expect("go");
    until("the end of the attempt", || agent.attempt_dir(1).join("result.pb").exists()).await;
    agent.start();
    assert!(is_success(&engine.result(1).await));
    assert_eq!(engine.log(1), "begun\nended\n");
}

#[tokio::test]
async fn an_order_that_comes_twice_is_run_once() {
    let engine = Engine::start().await;
    let mut agent = Agent::running(&engine).await;
    let order = apply(&engine, 1, &format!("echo x >> {}", agent.file("marks").display()));
    engine.dispatch(order.clone()).await;
    engine.dispatch(order.clone()).await;
    engine.result(1).await;
    until("the attempt's directory to go", || !agent.attempt_dir(1).exists()).await;
    // After its end has been acknowledged, and even after a restart.
    engine.dispatch(order.clone()).await;
    agent.kill().await;
    agent.start();
    engine.connected(2).await;
    engine.dispatch(order).await;
    engine.dispatch(apply(&engine, 2, "true")).await;
    engine.result(2).await;
    assert_eq!(lines(&agent.file("marks")), 1);
}

#[tokio::test]
async fn an_engine_that_was_replaced_is_not_obeyed() {
    let mut engine = Engine::start().await;
    engine.manner(|manner| manner.epoch = 7);
    let mut agent = Agent::running(&engine).await;
    let mut order = apply(&engine, 1, "true");
    order.epoch = 7;
    engine.dispatch(order).await;
    engine.result(1).await;
    // An order of the past on the stream of the present.
    let mut late = apply(&engine, 2, &format!("echo x >> {}", agent.file("marks").display()));
    late.epoch = 6;
    engine.dispatch(late).await;
    // The engine of the past itself, to an agent that has been restarted.
    engine.stop().await;
    engine.manner(|manner| manner.epoch = 6);
    agent.kill().await;
    agent.start();
    engine.restart().await;
    engine.connected(3).await;
    assert!(engine.with(|seen| seen.hellos.iter().skip(1).all(|hello| hello.epoch == 7)));
    assert!(agent.log().contains("epoch 6 is lower than 7"), "{}", agent.log());
    engine.stop().await;
    engine.manner(|manner| manner.epoch = 8);
    engine.restart().await;
    engine.until("obedience", |seen| seen.hellos.last().filter(|hello| hello.epoch == 7).map(|_| ())).await;
    assert_eq!(lines(&agent.file("marks")), 0);
}

#[tokio::test]
async fn a_supervisor_that_dies_is_a_failure_and_leaves_nothing() {
    let engine = Engine::start().await;
    let agent = Agent::running(&engine).await;
    let script = format!("echo $$ > {}; echo begun; sleep 1000", agent.file("pid").display());
    engine.dispatch(apply(&engine, 1, &script)).await;
    engine.log_with(1, "begun").await;
    let status = std::fs::read(agent.attempt_dir(1).join("status.json")).expect("status");
    let status: serde_json::Value = serde_json::from_slice(&status).expect("JSON");
    let killed = std::process::Command::new("kill").args(["-9", &status["pid"].to_string()]).status().expect("kill");
    assert!(killed.success());
    let result = engine.result(1).await;
    let Some(Outcome::Failed(failed)) = result.outcome else { panic!("succeeded") };
    assert_eq!((failed.kind(), failed.phase()), (FailureKind::Error, Phase::Apply));
    assert_eq!(failed.message, "the machine or supervisor went down while phase apply ran");
    let pid = std::fs::read_to_string(agent.file("pid")).expect("pid");
    until("the role's process to end", || !is_alive(&pid)).await;
}

#[tokio::test]
async fn a_machine_that_goes_down_in_the_middle_is_a_failure() {
    let engine = Engine::start().await;
    let mut agent = Agent::running(&engine).await;
    engine.dispatch(apply(&engine, 1, &waiting(&agent))).await;
    engine.log_with(1, "begun").await;
    power_cut(&mut agent, 1).await;
    agent.start();
    let result = engine.result(1).await;
    let Some(Outcome::Failed(failed)) = result.outcome else { panic!("succeeded") };
    assert_eq!(failed.message, "the machine or supervisor went down while phase apply ran");
    assert_eq!(lines(&agent.file("marks")), 1);
}

/// Everything is gone at once, and the machine boots again.
async fn power_cut(agent: &mut Agent, attempt: u64) {
    agent.kill().await;
    if let Ok(status) = std::fs::read(agent.attempt_dir(attempt).join("status.json")) {
        let status: serde_json::Value = serde_json::from_slice(&status).expect("JSON");
        let pid = status["pid"].to_string();
        std::process::Command::new("kill").args(["-9", &pid]).status().expect("kill");
        until("the supervisor to end", || !is_alive(&pid)).await;
    }
    let boot: u32 =
        std::fs::read_to_string(agent.boot_id_file()).expect("boot")["boot-".len()..].parse().expect("number");
    std::fs::write(agent.boot_id_file(), format!("boot-{}", boot + 1)).expect("boot");
}

#[tokio::test]
async fn a_reboot_in_the_middle_goes_on_with_the_next_phase() {
    let engine = Engine::start().await;
    let mut agent = Agent::running(&engine).await;
    let marks = agent.file("marks");
    let files = [
        ("apply.sh", format!("echo apply >> {}; rebar-output early yes; rebar-control reboot", marks.display())),
        (
            "verify.sh",
            format!("echo verify >> {}; echo secret is $(rebar-input secret); rebar-output late yes", marks.display()),
        ),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let order = order(&engine, 1, &files, vec![phase(Phase::Apply, "apply.sh"), phase(Phase::Verify, "verify.sh")]);
    let mut order = with_reboot(RebootPolicy::Allowed, order);
    order.inputs_json = r#"{"secret":"survives boots"}"#.to_owned();
    order.secret_inputs = vec!["secret".to_owned()];
    engine.dispatch(order.clone()).await;
    until("the reboot", || agent.file("rebooted").exists()).await;
    // While the machine goes down nothing new is started.
    engine.dispatch(apply(&engine, 2, "true")).await;
    power_cut(&mut agent, 1).await;
    agent.start();
    engine.connected(2).await;
    engine.dispatch(order).await;
    let result = engine.result(1).await;
    let Some(Outcome::Succeeded(succeeded)) = result.outcome else { panic!("failed: {result:?}") };
    assert_eq!(succeeded.outputs_json, r#"{"early":"yes","late":"yes"}"#);
    assert_eq!(engine.log(1), "secret is ***\n");
    assert_eq!(std::fs::read_to_string(marks).expect("marks"), "apply\nverify\n");
    assert_eq!(lines(&agent.file("rebooted")), 1);
    assert!(engine.with(|seen| !seen.hellos[1].held.iter().any(|held| held.attempt == 2)));
    assert_eq!(engine.with(|seen| seen.hellos[1].boot_id.clone()), "boot-2");
}

#[tokio::test]
async fn a_phase_may_ask_to_be_run_again_after_the_reboot() {
    let engine = Engine::start().await;
    let mut agent = Agent::running(&engine).await;
    let marks = agent.file("marks");
    let script =
        format!("echo apply >> {0}; [ $(wc -l < {0}) -ge 2 ] || rebar-control reboot --again", marks.display());
    engine.dispatch(with_reboot(RebootPolicy::Allowed, apply(&engine, 1, &script))).await;
    until("the reboot", || agent.file("rebooted").exists()).await;
    power_cut(&mut agent, 1).await;
    agent.start();
    assert!(is_success(&engine.result(1).await));
    assert_eq!(lines(&marks), 2);
}

#[tokio::test]
async fn a_reboot_waits_for_the_neighbours() {
    let engine = Engine::start().await;
    let agent = Agent::running(&engine).await;
    engine.dispatch(apply(&engine, 1, &waiting(&agent))).await;
    engine.log_with(1, "begun").await;
    engine.dispatch(with_reboot(RebootPolicy::Allowed, apply(&engine, 2, "rebar-control reboot"))).await;
    until("the wish", || {
        std::fs::read_to_string(agent.attempt_dir(2).join("status.json"))
            .is_ok_and(|text| text.contains("\"resume\":1"))
    })
    .await;
    assert!(!agent.file("rebooted").exists());
    std::fs::write(agent.file("go"), "").expect("go");
    assert!(is_success(&engine.result(1).await));
    until("the reboot", || agent.file("rebooted").exists()).await;
}

#[tokio::test]
async fn a_reboot_that_is_not_allowed_is_a_failure_that_says_what_to_write() {
    let engine = Engine::start().await;
    let agent = Agent::running(&engine).await;
    for (attempt, script) in [(1, "rebar-control reboot"), (2, "rebar-control reboot --again")] {
        engine.dispatch(apply(&engine, attempt, script)).await;
        let result = engine.result(attempt).await;
        let Some(Outcome::Failed(failed)) = result.outcome else { panic!("succeeded") };
        assert_eq!((failed.kind(), failed.phase()), (FailureKind::Error, Phase::Apply));
        assert_eq!(failed.message, "apply asked for a reboot, which needs `reboot: allowed` in role.yaml");
    }
    assert!(!agent.file("rebooted").exists());
}

#[tokio::test]
async fn where_it_always_reboots_it_does_so_once_after_apply() {
    let engine = Engine::start().await;
    let mut agent = Agent::running(&engine).await;
    let marks = agent.file("marks");
    let files = [
        ("check.sh", "exit $(rebar-input code)".to_owned()),
        ("apply.sh", format!("echo apply >> {}; rebar-output early yes", marks.display())),
        ("verify.sh", format!("echo verify >> {}", marks.display())),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let phases =
        vec![phase(Phase::Check, "check.sh"), phase(Phase::Apply, "apply.sh"), phase(Phase::Verify, "verify.sh")];
    let always = |attempt, code| {
        let order = order(&engine, attempt, &files, phases.clone());
        with_reboot(RebootPolicy::Always, Dispatch { inputs_json: format!("{{\"code\":{code}}}"), ..order })
    };
    // What is so already asks for nothing.
    engine.dispatch(always(1, 0)).await;
    assert!(is_success(&engine.result(1).await));
    assert!(!agent.file("rebooted").exists());
    engine.dispatch(always(2, 1)).await;
    until("the reboot", || agent.file("rebooted").exists()).await;
    power_cut(&mut agent, 2).await;
    agent.start();
    let result = engine.result(2).await;
    let Some(Outcome::Succeeded(succeeded)) = result.outcome else { panic!("failed: {result:?}") };
    assert_eq!(succeeded.outputs_json, r#"{"early":"yes"}"#);
    assert_eq!(std::fs::read_to_string(marks).expect("marks"), "verify\napply\nverify\n");
    assert_eq!(lines(&agent.file("rebooted")), 1);
}

#[tokio::test]
async fn an_order_without_phases_reboots_the_machine_once() {
    let engine = Engine::start().await;
    let mut agent = Agent::running(&engine).await;
    let alone = |attempt| with_reboot(RebootPolicy::Always, dispatch(attempt, "", Vec::new()));
    engine.dispatch(alone(1)).await;
    until("the reboot", || agent.file("rebooted").exists()).await;
    power_cut(&mut agent, 1).await;
    agent.start();
    engine.connected(2).await;
    // Whether it says that it has ended already is a matter of who is faster.
    assert!(engine.with(|seen| seen.hellos[1].held.iter().any(|held| held.attempt == 1)));
    assert!(is_success(&engine.result(1).await));
    assert_eq!((lines(&agent.file("rebooted")), engine.log(1)), (1, String::new()));
    // While a neighbour is waited for, it can still be cancelled.
    engine.dispatch(apply(&engine, 2, &waiting(&agent))).await;
    engine.log_with(2, "begun").await;
    engine.dispatch(alone(3)).await;
    until("the wish", || {
        std::fs::read_to_string(agent.attempt_dir(3).join("status.json"))
            .is_ok_and(|text| text.contains("\"resume\":0"))
    })
    .await;
    engine.send(engine_message::Body::Cancel(Cancel { attempt: 3, epoch: 1 })).await;
    let result = engine.result(3).await;
    let Some(Outcome::Failed(failed)) = result.outcome else { panic!("succeeded") };
    assert_eq!(failed.kind(), FailureKind::Cancelled);
    std::fs::write(agent.file("go"), "").expect("go");
    assert!(is_success(&engine.result(2).await));
    assert_eq!(lines(&agent.file("rebooted")), 1);
}

#[tokio::test]
async fn an_order_with_nothing_in_it_succeeds() {
    let engine = Engine::start().await;
    let agent = Agent::running(&engine).await;
    engine.dispatch(dispatch(1, "", Vec::new())).await;
    assert!(is_success(&engine.result(1).await));
    assert!(!agent.file("rebooted").exists());
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_a_failure_that_says_so() {
    let engine = Engine::start().await;
    let agent = Agent::running(&engine).await;
    let attempts = agent.state().join("attempts");
    std::fs::remove_dir(&attempts).expect("remove");
    std::fs::write(&attempts, "in the way").expect("file");
    engine.dispatch(apply(&engine, 1, "true")).await;
    let result = engine.result(1).await;
    let Some(Outcome::Failed(failed)) = result.outcome else { panic!("succeeded") };
    assert_eq!(failed.kind(), FailureKind::Setup);
    assert!(failed.message.contains("attempts"), "{}", failed.message);
}

#[tokio::test]
async fn an_engine_that_is_full_is_asked_again_when_it_says() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut engine = Engine::start().await;
    let agent = Agent::running(&engine).await;
    engine.stop().await;
    let full = loop {
        match tokio::net::TcpListener::bind(engine.address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let wait = std::time::Duration::from_secs(3);
    let mut came = Vec::new();
    for _ in 0..2 {
        let (mut tcp, _) = full.accept().await.expect("the agent");
        came.push(std::time::Instant::now());
        tcp.write_all(rebar_proto::notice(wait).as_bytes()).await.expect("told");
        tcp.shutdown().await.expect("told");
        // A reset would take the notice with it.
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    }
    assert!(came[1] - came[0] >= wait, "it came back after {:?}", came[1] - came[0]);
    drop(full);
    engine.restart().await;
    engine.connected(2).await;
    assert!(agent.log().contains("is busy"), "{}", agent.log());
}
