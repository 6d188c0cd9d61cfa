//! What is taken from agents and what is refused, as tables.

use rebar_model::{Hex, NodeRoleId, SignedRelease};
use serde_json::json;
use v1::agent_message::Body;

use super::*;

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn take(body: Body) -> Result<Option<Job>, Invalid> {
    job(v1::AgentMessage { body: Some(body) }, now())
}

fn ended(outcome: attempt_result::Outcome) -> Result<Report, Invalid> {
    let result = v1::AttemptResult { attempt: 1, finished_at: None, outcome: Some(outcome), log_bytes: 0 };
    take(Body::Result(result)).map(|it| match it {
        Some(Job::Ended(AttemptId(1), report)) => *report,
        other => panic!("{other:?}"),
    })
}

fn succeeded(outputs_json: &str) -> Report {
    let succeeded = v1::Succeeded { outputs_json: outputs_json.into(), converged: true, note: " done\n".into() };
    ended(attempt_result::Outcome::Succeeded(succeeded)).unwrap()
}

fn failed_as(kind: i32, phase: i32) -> Result<Report, Invalid> {
    let failed = v1::Failed { phase, kind, exit_code: Some(3), message: "no\nway".into(), retry_after: None };
    ended(attempt_result::Outcome::Failed(failed))
}

#[test]
fn outputs_are_one_object_of_identifiers_or_the_role_failed() {
    let good = succeeded(r#"{"token": "a\nb", "port": 1}"#);
    let Report::Succeeded { outputs, converged: true, note } = good else { panic!("{good:?}") };
    assert_eq!(outputs[&Ident::new("token").unwrap()], json!("a\nb"));
    assert_eq!(note.as_deref(), Some("done"));
    assert!(matches!(succeeded(""), Report::Succeeded { outputs, .. } if outputs.is_empty()));
    for bad in ["[]", "\"s3cret\"", "{\"s3cret\"", r#"{"Bad-Name": 1}"#, &"[".repeat(1000)] {
        let report = succeeded(bad);
        let Report::Failed(failure) = report else { panic!("{bad}: {report:?}") };
        assert_eq!(failure.kind, FailureKind::BadOutputs, "{bad}");
        assert!(!failure.message.contains("s3cret"), "{}", failure.message);
    }
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(MAX_OUTPUTS));
    assert!(matches!(succeeded(&large), Report::Failed(it) if it.message.contains("larger")));
}

#[test]
fn failures_keep_their_kind() {
    let kinds = [FailureKind::Error, FailureKind::Timeout, FailureKind::Tempfail];
    for (number, kind) in (1..).zip(kinds) {
        let Report::Failed(failure) = failed_as(number, 3).unwrap() else { panic!("{kind:?}") };
        assert_eq!((failure.kind, failure.phase, failure.exit_code), (kind, Some(Phase::Apply), Some(3)));
        assert_eq!(failure.message, "no way");
    }
    assert_eq!(failed_as(4, 0), Ok(Report::Cancelled));
    for (kind, phase) in [(0, 0), (99, 0), (1, 99), (-1, 0)] {
        assert!(failed_as(kind, phase).is_err(), "{kind} {phase}");
    }
}

#[test]
fn a_wait_is_neither_negative_nor_endless() {
    let wait = |seconds, nanos| span(prost_types::Duration { seconds, nanos });
    assert_eq!(wait(1, 500_000_000), Ok(Span::from_millis(1500)));
    assert_eq!(wait(i64::MAX, 0), Ok(Span::from_secs(30 * 24 * 3600)));
    assert!(wait(-1, 0).is_err());
}

#[test]
fn logs_are_bounded_and_text() {
    let chunk = v1::LogChunk { attempt: 1, offset: 10, phase: 3, at: None, data: b"a\0\xffb".to_vec(), lost: 2 };
    let Some(Job::Log(taken)) = take(Body::Log(chunk.clone())).unwrap() else { panic!() };
    assert_eq!((taken.text.as_str(), taken.bytes, taken.lost, taken.at), ("a\u{fffd}\u{fffd}b", 4, 2, now()));
    let at = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
    for bad in [
        v1::LogChunk { data: vec![0; MAX_CHUNK + 1], ..chunk.clone() },
        v1::LogChunk { offset: u64::MAX, ..chunk.clone() },
        v1::LogChunk { attempt: u64::MAX, ..chunk.clone() },
        v1::LogChunk { at, ..chunk.clone() },
        v1::LogChunk { phase: 17, ..chunk },
    ] {
        assert!(take(Body::Log(bad)).is_err());
    }
}

#[test]
fn a_line_for_people_is_cut_where_it_is_too_long() {
    assert_eq!(line(&"x".repeat(LINE)).len(), LINE);
    assert_eq!(line(&"x".repeat(LINE + 1)).len(), LINE);
    assert_eq!(line(&"é".repeat(LINE)).len(), LINE, "no letter is cut in two");
}

#[test]
fn facts_are_one_object_of_known_shape() {
    let facts = |json: &str| take(Body::Facts(v1::Facts { json: json.into() }));
    let Some(Job::Facts(taken)) = facts(r#"{"hostname": "n1\u001b[2J", "later": 1}"#).unwrap() else { panic!() };
    assert_eq!(taken.hostname, "n1 [2J");
    for bad in ["", "[]", "{", r#"{"hostname": 1}"#, r#"{"addresses": {"primary": "x"}}"#, &" ".repeat(FACTS + 1)] {
        assert!(facts(bad).is_err(), "{bad:.40}");
    }
}

#[test]
fn hello_comes_first_and_once() {
    let good =
        v1::Hello { agent_version: "0.1.0".into(), boot_id: "b".into(), epoch: 3, held: vec![], upgrade_failed: None };
    let say = |it: v1::Hello| hello(v1::AgentMessage { body: Some(Body::Hello(it)) });
    assert_eq!(say(good.clone()).unwrap().epoch, Epoch(3));
    assert!(say(v1::Hello { boot_id: "x".repeat(SHORT_TEXT + 1), ..good.clone() }).is_err());
    assert!(say(v1::Hello { agent_version: "a\nb".into(), ..good.clone() }).is_err());
    assert!(say(v1::Hello { held: vec![v1::HeldAttempt::default(); HELD + 1], ..good.clone() }).is_err());
    assert!(hello(v1::AgentMessage { body: Some(Body::Heartbeat(v1::Heartbeat {})) }).is_err());
    assert!(take(Body::Hello(good)).is_err());
    assert!(job(v1::AgentMessage { body: None }, now()).is_err());
    assert!(matches!(take(Body::Heartbeat(v1::Heartbeat {})), Ok(None)));
}

fn work() -> Work {
    Work {
        attempt: AttemptId(7),
        epoch: Epoch(2),
        node_role: "shop/docker@n1".parse::<NodeRoleId>().unwrap(),
        kind: AttemptKind::Replace,
        content: Digest::of(b"content"),
        phases: vec![PhaseWork {
            phase: Phase::Verify,
            run: "verify.sh".into(),
            timeout: Span::from_millis(1500),
            every: Some(Span::from_secs(2)),
            successes: 3,
            env: BTreeMap::new(),
        }],
        inputs: BTreeMap::from([(Ident::new("size").unwrap(), json!(3))]),
        secret_inputs: vec![Ident::new("size").unwrap()],
        secret_outputs: vec![],
        shell: None,
        user: Some("nobody".into()),
        templates: BTreeMap::from([("a.tera".into(), "/etc/a".into()), ("b.tera".into(), "/etc/b".into())]),
        reboot: RebootPolicy::Allowed,
        deadline: now(),
    }
}

#[test]
fn work_becomes_a_dispatch() {
    let message = command(AgentCommand::Dispatch(Box::new(work()))).unwrap();
    let Some(engine_message::Body::Dispatch(dispatch)) = message.body else { panic!() };
    assert_eq!((dispatch.attempt, dispatch.epoch, dispatch.node_role.as_str()), (7, 2, "shop/docker@n1"));
    assert_eq!(dispatch.content, Digest::of(b"content").to_string());
    assert_eq!(dispatch.inputs_json, r#"{"size":3}"#);
    assert_eq!((dispatch.kind(), dispatch.reboot()), (v1::AttemptKind::Replace, v1::RebootPolicy::Allowed));
    let templates: Vec<_> = dispatch.templates.iter().map(|it| (it.path.as_str(), it.target.as_str())).collect();
    assert_eq!(templates, [("a.tera", "/etc/a"), ("b.tera", "/etc/b")]);
    assert_eq!(
        (dispatch.secret_inputs, dispatch.shell, dispatch.user),
        (vec!["size".into()], String::new(), "nobody".into())
    );
    let phase = &dispatch.phases[0];
    assert_eq!((phase.phase(), phase.successes), (v1::Phase::Verify, 3));
    assert_eq!(phase.timeout, Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }));
    assert_eq!(timestamp(dispatch.deadline.unwrap()), Ok(now()));
}

#[test]
fn a_release_becomes_an_order_and_what_became_of_it_a_report() {
    let signed = SignedRelease { statement: "{\"a\": 1}".into(), key: Hex([0x1f; 32]), signature: Hex([0x2e; 64]) };
    let order = UpgradeOrder { upgrade: UpgradeNo(3), epoch: Epoch(2), content: Digest::of(b"program"), signed };
    let message = command(AgentCommand::Upgrade(Box::new(order))).unwrap();
    let Some(engine_message::Body::Upgrade(order)) = message.body else { panic!() };
    assert_eq!((order.upgrade, order.epoch, order.statement.as_str()), (3, 2, "{\"a\": 1}"));
    assert_eq!((order.key, order.signature), ("1f".repeat(32), "2e".repeat(64)));
    assert_eq!(order.content, Digest::of(b"program").to_string());

    let failed = |failure: v1::UpgradeFailure, reason: &str| {
        let failed = v1::UpgradeFailed { upgrade: 3, failure: failure.into(), reason: reason.into() };
        take(Body::UpgradeFailed(failed))
    };
    let Ok(Some(Job::UpgradeFailed(report))) = failed(v1::UpgradeFailure::RolledBack, "it\nended") else { panic!() };
    let failure = UpgradeFailure::RolledBack { reason: "it ended".into() };
    assert_eq!(*report, UpgradeReport { upgrade: UpgradeNo(3), failure });
    let Ok(Some(Job::UpgradeFailed(report))) = failed(v1::UpgradeFailure::Refused, &"x".repeat(3 * LINE)) else {
        panic!()
    };
    assert!(matches!(report.failure, UpgradeFailure::Refused { reason } if reason.len() == LINE));
    assert!(failed(v1::UpgradeFailure::Unspecified, "").is_err());
    let too_large = v1::UpgradeFailed { upgrade: u64::MAX, failure: 1, reason: String::new() };
    assert!(take(Body::UpgradeFailed(too_large)).is_err());
}

#[test]
fn every_kind_and_policy_has_its_word_and_silence_means_never() {
    use v1::{AttemptKind as Kind, RebootPolicy as Policy};
    let kinds = [AttemptKind::Apply, AttemptKind::Replace, AttemptKind::Undo];
    assert_eq!(kinds.map(attempt_kind), [Kind::Apply, Kind::Replace, Kind::Undo]);
    let policies = [RebootPolicy::Never, RebootPolicy::Allowed, RebootPolicy::Always];
    assert_eq!(policies.map(reboot_policy), [Policy::Never, Policy::Allowed, Policy::Always]);
    // A message of an engine that does not know the fields, as bytes.
    let old = v1::Dispatch { attempt: 7, ..v1::Dispatch::default() }.encode_to_vec();
    assert_eq!(old, [8, 7]);
    let read = v1::Dispatch::decode(old.as_slice()).unwrap();
    assert_eq!((read.reboot(), read.kind(), read.templates.len()), (Policy::Never, Kind::Apply, 0));
}

#[test]
fn what_no_message_can_carry_ends_the_attempt() {
    let mut work = work();
    work.inputs.insert(Ident::new("blob").unwrap(), json!("s3cret".repeat(MAX_MESSAGE / 6)));
    let error = command(AgentCommand::Dispatch(Box::new(work))).unwrap_err();
    let Job::Ended(AttemptId(7), report) = Job::from(error) else { panic!() };
    assert!(matches!(&*report, Report::Failed(it) if it.kind == FailureKind::Setup && !it.message.contains("s3cret")));
}

#[test]
fn moments_survive_the_wire() {
    for text in ["2026-05-01T12:00:00.25Z", "1969-12-31T23:59:59.75Z", "9999-01-01T00:00:00Z"] {
        let at: Timestamp = text.parse().unwrap();
        let wire = prost_timestamp(at);
        assert!(wire.nanos >= 0, "{text}");
        assert_eq!(timestamp(wire), Ok(at));
    }
}
