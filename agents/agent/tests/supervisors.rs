//! Supervisors that have one attempt after the other: nothing of one reaches the next, and none stays that nobody needs.

mod common;

use common::{
    agent::{is_alive, until},
    setup::{Setup, failed, succeeded},
};
use rebar_proto::v1::{Cancel, FailureKind, engine_message};

/// No more attempts are needed for one of them to find a supervisor that waits.
const ENOUGH: u64 = 20;

impl Setup {
    /// Runs scripts, the first attempt with this number, until one finds the supervisor of the one before: its process.
    async fn meet_again(&self, first: u64) -> String {
        let seen = self.agent.file("supervisors");
        for attempt in first..first + ENOUGH {
            succeeded(&self.apply(attempt, &format!("echo $PPID >> {}", seen.display())).await);
            let text = std::fs::read_to_string(&seen).expect("supervisors");
            let pids: Vec<_> = text.lines().rev().collect();
            if pids.len() > 1 && pids[0] == pids[1] {
                return pids[0].to_owned();
            }
        }
        panic!("each attempt has another supervisor");
    }
}

#[tokio::test]
async fn a_supervisor_has_one_attempt_after_the_other_and_nothing_of_it_stays() {
    let setup = Setup::new().await;
    let left = setup.agent.file("left");
    // It leaves its group, its session and its parent.
    let leaves = format!(
        "setsid sh -c 'echo $$ > {0}; exec sleep 600' & while [ ! -s {0} ]; do sleep 0.01; done",
        left.display()
    );
    succeeded(&setup.apply(1, &leaves).await);
    let left = std::fs::read_to_string(left).expect("process");
    assert!(!is_alive(&left));
    setup.meet_again(2).await;
    // What one says and makes is its own.
    succeeded(&setup.apply(100, "echo one; rebar-output a 1; exit 0").await);
    let two = setup.apply(101, "echo two $REBAR_ATTEMPT; rebar-output b 2; ls").await;
    assert_eq!(succeeded(&two).outputs_json, r#"{"b":"2"}"#);
    assert_eq!(setup.engine.log(101), "two 101\napply.sh\n");
    let failure = setup.apply(102, "echo why; exit 3").await;
    assert_eq!(failed(&failure).exit_code, Some(3));
    setup.meet_again(103).await;
}

#[tokio::test]
async fn one_that_waits_ends_when_nobody_needs_it() {
    let mut setup = Setup::new().await;
    let supervisor = setup.meet_again(1).await;
    assert!(is_alive(&supervisor));
    until("the supervisor to end", || !is_alive(&supervisor)).await;
    let supervisor = setup.meet_again(100).await;
    setup.agent.kill().await;
    until("the supervisor to end with its agent", || !is_alive(&supervisor)).await;
}

#[tokio::test]
async fn one_that_was_killed_while_it_waited_is_not_missed() {
    let setup = Setup::new().await;
    for attempt in [1, 100] {
        let supervisor = setup.meet_again(attempt).await;
        let killed = tokio::process::Command::new("kill").args(["-9", &supervisor]).status().await.expect("kill");
        assert!(killed.success());
        until("its end", || !is_alive(&supervisor)).await;
        succeeded(&setup.apply(attempt + ENOUGH, "true").await);
    }
}

#[tokio::test]
async fn the_end_of_one_attempt_is_not_that_of_the_next() {
    let setup = Setup::new().await;
    setup.meet_again(1).await;
    let go = setup.agent.file("go");
    let script = format!("echo begun; while [ ! -e {} ]; do sleep 0.01; done", go.display());
    // One that is cancelled leaves a supervisor that is as good as any.
    setup.engine.dispatch(setup.script(100, &script)).await;
    setup.engine.log_with(100, "begun").await;
    setup.engine.send(engine_message::Body::Cancel(Cancel { attempt: 100, epoch: 1 })).await;
    assert_eq!(failed(&setup.engine.result(100).await).kind(), FailureKind::Cancelled);
    setup.engine.dispatch(setup.script(101, &script)).await;
    setup.engine.log_with(101, "begun").await;
    setup.engine.send(engine_message::Body::Cancel(Cancel { attempt: 100, epoch: 1 })).await;
    // What comes later is done later.
    succeeded(&setup.apply(102, "true").await);
    std::fs::write(go, "").expect("go");
    succeeded(&setup.engine.result(101).await);
}
