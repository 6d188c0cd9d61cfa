//! An agent becomes another release while its attempts run, or does not and says why: whatever the new one is, and whatever happens
//! to the machine and the engine meanwhile.

mod common;

use common::{
    agent::{Agent, is_alive, lines, until},
    engine::Engine,
    release::{ReleaseKey, bad, good},
    role::{archive, dispatch, phase},
};
use rebar_proto::v1::{
    AttemptResult, Phase, UpgradeFailed, UpgradeFailure, attempt_result::Outcome, engine_message::Body,
};

/// The version that the program was built as.
const BUILT: &str = env!("CARGO_PKG_VERSION");
const NEW: &str = "9.1.0";

/// A machine that trusts a key, whose agent is connected.
struct Machine {
    engine: Engine,
    agent: Agent,
    key: ReleaseKey,
}

impl Machine {
    async fn new() -> Self {
        let engine = Engine::start().await;
        let agent = Agent::running(&engine).await;
        let key = ReleaseKey::new(1);
        agent.trust(&[&key.public()]).await;
        Self { engine, agent, key }
    }

    /// Orders a program as a release.
    async fn order(&self, upgrade: u64, version: &str, program: &[u8]) {
        self.engine.send(Body::Upgrade(self.key.order(&self.engine, upgrade, version, program))).await;
    }

    /// Waits until the agent has said so often that it is this version.
    async fn says(&self, version: &str, times: usize) {
        let count = |hellos: &[rebar_proto::v1::Hello]| hellos.iter().filter(|it| it.agent_version == version).count();
        let what = format!("{times} times {version}");
        self.engine.until(&what, |seen| (count(&seen.hellos) >= times).then_some(())).await;
    }

    /// What the agent says in its first session after this many about the last upgrade.
    async fn report(&self, sessions: usize) -> (String, UpgradeFailed) {
        let hello = self.engine.until("a session", |seen| seen.hellos.get(sessions).cloned()).await;
        (hello.agent_version, hello.upgrade_failed.expect("a report"))
    }

    /// Starts an attempt that ends when the file `go` is there.
    async fn begin(&self, attempt: u64) {
        let (marks, go) = (self.agent.file("marks"), self.agent.file("go"));
        let script = format!(
            "echo x >> {}; echo begun; while [ ! -e {} ]; do sleep 0.01; done; echo ended; rebar-output done yes",
            marks.display(),
            go.display()
        );
        let (digest, bytes) = archive(&[("apply.sh", &script)]);
        self.engine.content(&digest, bytes);
        self.engine.dispatch(dispatch(attempt, &digest, vec![phase(Phase::Apply, "apply.sh")])).await;
        self.engine.log_with(attempt, "begun").await;
    }

    /// Lets the attempt end: it ran once, and nothing of it was lost.
    async fn finish(&self, attempt: u64) {
        std::fs::write(self.agent.file("go"), "").expect("go");
        let AttemptResult { outcome, .. } = self.engine.result(attempt).await;
        assert!(matches!(outcome, Some(Outcome::Succeeded(it)) if it.outputs_json.contains("yes")));
        assert_eq!(self.engine.log(attempt), "begun\nended\n");
        assert_eq!(lines(&self.agent.file("marks")), 1, "it was started once");
    }

    fn record(&self) -> String {
        std::fs::read_to_string(self.agent.state().join("upgrade.json")).unwrap_or_default()
    }
}

#[tokio::test]
async fn an_agent_becomes_another_release_while_its_attempt_runs() {
    let mut machine = Machine::new().await;
    machine.begin(1).await;
    let pid = machine.agent.pid();
    machine.order(1, NEW, &good("new")).await;
    // Once on trial, and once as itself.
    machine.says(NEW, 2).await;
    assert!(machine.record().contains("kept"), "{}", machine.record());
    let facts = machine.engine.with(|seen| seen.facts.last().cloned()).expect("facts");
    assert!(facts.contains(&format!(r#""agent_version":"{NEW}""#)), "{facts}");
    machine.finish(1).await;
    assert!(is_alive(&pid), "it is the same process");
    assert!(machine.engine.with(|seen| seen.upgrades_failed.is_empty()));

    // What was installed becomes what the machine is, and that becomes the next release; helper commands work there too.
    machine.agent.stop().await;
    machine.agent.start();
    machine.says(NEW, 3).await;
    std::fs::remove_file(machine.agent.file("go")).expect("go");
    std::fs::remove_file(machine.agent.file("marks")).expect("marks");
    machine.begin(2).await;
    machine.order(2, "9.2.0", &good("newer")).await;
    machine.says("9.2.0", 2).await;
    machine.finish(2).await;
    // A release that is damaged is not what was signed: the machine is what was installed.
    machine.agent.stop().await;
    let program = machine.agent.state().join("release/rebar-agent");
    let mut bytes = std::fs::read(&program).expect("program");
    bytes.push(0);
    std::fs::write(&program, bytes).expect("damaged");
    machine.agent.start();
    machine.says(BUILT, 2).await;
}

#[tokio::test]
async fn what_is_not_to_be_trusted_is_refused_with_the_reason() {
    let machine = Machine::new().await;
    let program = good("new");
    let engine = &machine.engine;
    let good_order = machine.key.order(engine, 0, NEW, &program);
    let changed = |change: fn(&mut rebar_proto::v1::Upgrade)| {
        let mut order = good_order.clone();
        change(&mut order);
        order
    };
    let about_another = machine.key.order(engine, 0, NEW, b"another program");
    let statement = good_order.statement.clone();
    let elsewhere = machine.key.order_of(engine, 0, &statement.replace("linux/", "plan9/"), &program);
    let orders = [
        (changed(|it| it.signature = "00".repeat(64)), "the signature is not that of the statement"),
        (changed(|it| it.statement = it.statement.replace("9.1.0", "9.9.9")), "the signature is not that"),
        (ReleaseKey::new(2).order(engine, 0, NEW, &program), "which this machine does not trust"),
        (elsewhere, "it is for plan9/"),
        (rebar_proto::v1::Upgrade { content: good_order.content.clone(), ..about_another }, "was signed"),
        (changed(|it| it.content = "00".repeat(32)), "there is no such content"),
        (machine.key.order(engine, 0, NEW, b"#!/bin/sh\nexit 3\n"), "--version ends with exit status: 3"),
        (machine.key.order(engine, 0, NEW, b"neither this nor that"), "the program does not run here"),
    ];
    for (upgrade, (order, why)) in (1..).zip(orders) {
        let order = rebar_proto::v1::Upgrade { upgrade, ..order };
        engine.send(Body::Upgrade(order.clone())).await;
        let find =
            |failed: &[UpgradeFailed]| failed.iter().filter(|it| it.upgrade == upgrade).cloned().collect::<Vec<_>>();
        let said = engine.until(why, |seen| find(&seen.upgrades_failed).first().cloned()).await;
        assert_eq!(said.failure(), UpgradeFailure::Refused);
        assert!(said.reason.contains(why), "{upgrade}: {}", said.reason);
        // Said again, and not tried again.
        let fetches = engine.with(|seen| seen.fetches.len());
        engine.send(Body::Upgrade(order)).await;
        engine.until("the same answer", |seen| (find(&seen.upgrades_failed).len() == 2).then_some(())).await;
        assert_eq!(engine.with(|seen| seen.fetches.len()), fetches);
    }
    assert_eq!(engine.with(|seen| seen.hellos.len()), 1, "the agent went on all the time");
    // An engine that was replaced gives no orders.
    let mut late = machine.key.order(engine, 99, NEW, &program);
    late.epoch = 0;
    engine.send(Body::Upgrade(late)).await;
    engine.dispatch(dispatch(1, "", Vec::new())).await;
    engine.result(1).await;
    assert!(!machine.agent.state().join("release").exists());
    assert!(engine.with(|seen| seen.upgrades_failed.iter().all(|it| it.upgrade != 99)));
}

#[tokio::test]
async fn a_machine_that_was_given_no_key_takes_no_release() {
    let engine = Engine::start().await;
    let agent = Agent::running(&engine).await;
    let order = ReleaseKey::new(1).order(&engine, 1, NEW, b"program");
    engine.send(Body::Upgrade(order)).await;
    let said = engine.until("a refusal", |seen| seen.upgrades_failed.first().cloned()).await;
    assert!(said.reason.contains("trusts no release key"), "{}", said.reason);
    drop(agent);
}

#[tokio::test]
async fn one_that_ends_at_once_is_rolled_back() {
    let machine = Machine::new().await;
    machine.begin(1).await;
    machine.order(1, NEW, &bad("exit 7")).await;
    let (version, report) = machine.report(1).await;
    assert_eq!((version.as_str(), report.upgrade, report.failure()), (BUILT, 1, UpgradeFailure::RolledBack));
    assert_eq!(report.reason, "it ended: exit status: 7");
    machine.finish(1).await;
    // The next upgrade is another one.
    machine.order(2, NEW, &good("new")).await;
    machine.says(NEW, 2).await;
    let hello = machine.engine.with(|seen| seen.hellos.last().cloned()).expect("hello");
    assert_eq!(hello.upgrade_failed, None);
}

#[tokio::test]
async fn one_that_no_engine_welcomes_is_rolled_back() {
    let machine = Machine::new().await;
    machine.begin(1).await;
    // It does not end when it is asked to, either.
    machine.order(1, NEW, &bad("trap '' TERM; while :; do sleep 1; done")).await;
    let (version, report) = machine.report(1).await;
    assert_eq!((version.as_str(), report.failure()), (BUILT, UpgradeFailure::RolledBack));
    assert!(report.reason.contains("no engine welcomed it"), "{}", report.reason);
    machine.finish(1).await;
}

#[tokio::test]
async fn an_engine_that_is_away_in_the_middle_condemns_nobody() {
    let mut machine = Machine::new().await;
    machine.agent.stop().await;
    machine.agent.haste = 40;
    machine.agent.start();
    machine.engine.connected(2).await;
    machine.begin(1).await;
    machine.order(1, NEW, &good("new")).await;
    until("the trial", || machine.agent.log().contains("release on trial")).await;
    machine.engine.stop().await;
    // Longer than an engine that is there may take: 120 s, 40 times faster, with a try every eighth of a second.
    let tries = || machine.agent.log().matches("no session").count();
    let before = tries();
    until("tries in vain", || tries() >= before + 40).await;
    machine.engine.restart().await;
    machine.says(NEW, 1).await;
    until("its end", || machine.record().contains("kept")).await;
    machine.finish(1).await;
}

#[tokio::test]
async fn a_machine_that_goes_down_in_every_trial_stays_what_it_was() {
    let mut machine = Machine::new().await;
    let pids = machine.agent.file("pids");
    machine.order(1, NEW, &bad(&format!("echo $$ >> {}; exec sleep 600", pids.display()))).await;
    for tries in 1..=3 {
        until("a trial", || lines(&pids) >= tries).await;
        machine.agent.kill().await;
        let text = std::fs::read_to_string(&pids).expect("pids");
        let tried = text.lines().last().expect("one").to_owned();
        until("the end of what was tried", || !is_alive(&tried)).await;
        machine.agent.start();
    }
    let (version, report) = machine.report(1).await;
    assert_eq!((version.as_str(), report.failure()), (BUILT, UpgradeFailure::RolledBack));
    assert_eq!(report.reason, "its trial was interrupted 3 times");
    assert_eq!(lines(&pids), 3);
}

#[tokio::test]
async fn an_agent_that_is_stopped_in_its_trial_goes_on_with_it() {
    let mut machine = Machine::new().await;
    machine.order(1, NEW, &good("new")).await;
    until("the trial", || machine.agent.log().contains("release on trial")).await;
    machine.agent.stop().await;
    assert!(machine.record().contains("trying"), "{}", machine.record());
    machine.agent.start();
    until("its end", || machine.record().contains("kept")).await;
    machine.says(NEW, 1).await;
}
