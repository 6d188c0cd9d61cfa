//! Rehearsals in which something goes wrong: each fault does what it says, and the rest goes on.

use rebar_model::{Reason, Span, Standing};
use rebar_rehearsal::Rehearsal;
use serde_json::json;

use crate::fixture::{chain, count, rehearse, scenario, swarm};

#[tokio::test]
async fn what_fails_holds_back_what_stands_on_it_and_nothing_else() {
    let roles = chain(&["a", "b"], |_, _| {});
    let (report, handle, _rehearsal) = rehearse(scenario(&roles, &[("all", 40)], &["fail:a=20%"])).await;
    let failed = count(&report, Standing::Failed);
    assert!((3..=16).contains(&failed), "{report:?}");
    assert_eq!(count(&report, Standing::Blocked), failed, "what stands on it waits for a person");
    assert_eq!(count(&report, Standing::Active), 80 - 2 * failed, "the rest goes on");
    let fault = &report.faults[0];
    assert_eq!((fault.attempts, fault.recovered, fault.open), (failed, 0, failed));
    // The same reasons as `rebar explain` gives.
    let now = handle.now();
    handle.read(|world| {
        for id in world.node_roles().keys() {
            let verdict = rebar_scheduler::verdict(world, id, now).unwrap();
            match verdict.standing {
                Standing::Failed => assert!(
                    matches!(&verdict.reasons[0], Reason::Failed { failure, .. } if failure.exit_code == Some(1))
                ),
                Standing::Blocked => assert!(matches!(&verdict.reasons[0], Reason::UpstreamFailed { .. })),
                other => assert_eq!(other, Standing::Active),
            }
        }
    });
}

#[tokio::test]
async fn what_asks_to_be_tried_again_recovers() {
    let roles = chain(&["a"], |_, _| {});
    let (calm, ..) = rehearse(scenario(&roles, &[("all", 40)], &[])).await;
    let (report, ..) = rehearse(scenario(&roles, &[("all", 40)], &["tempfail=30%"])).await;
    assert_eq!(report.totals.open, 0);
    assert!(report.totals.failed > 0 && report.totals.attempts > 40);
    assert_eq!(report.faults[0].attempts, report.totals.failed);
    assert_eq!(report.faults[0].recovered, report.totals.recovered);
    assert!(report.took >= calm.took);
}

#[tokio::test]
async fn what_hangs_is_ended_by_its_time_out() {
    let short = chain(&["a"], |_, spec| spec["phases"]["apply"]["timeout"] = json!("3m"));
    let (report, handle, _rehearsal) = rehearse(scenario(&short, &[("all", 10)], &["hang=30%"])).await;
    let failed = count(&report, Standing::Failed);
    assert!(failed > 0);
    assert!((Span::from_secs(180)..Span::from_secs(200)).contains(&report.took), "{}", report.took);
    let kinds: Vec<_> = handle.read(|world| {
        let states = world.node_roles().values().map(|it| &it.status.state);
        let kind = |it: &rebar_model::State| match it {
            rebar_model::State::Failed { failure, .. } => Some(failure.kind),
            _ => None,
        };
        states.filter_map(kind).collect()
    });
    assert_eq!(kinds, vec![rebar_model::FailureKind::Timeout; failed]);
}

#[tokio::test]
async fn a_lost_node_says_so_and_the_rest_goes_on() {
    let roles = chain(&["a", "b", "c"], |_, _| {});
    let mut lost = scenario(&roles, &[("all", 20)], &["lose=2@10s"]);
    lost.durations.give("a".parse().unwrap(), Span::from_secs(60), Span::from_secs(60));
    let (report, handle, _rehearsal) = rehearse(lost).await;
    assert_eq!(count(&report, Standing::Active), 18 * 3, "{report:?}");
    assert_eq!((report.faults[0].nodes, report.faults[0].open), (2, 6));
    let now = handle.now();
    let away = handle.read(|world| {
        let verdicts = world.node_roles().keys().filter_map(|id| rebar_scheduler::verdict(world, id, now));
        verdicts.filter(|it| it.reasons.iter().any(|it| matches!(it, Reason::NodeAway { .. }))).count()
    });
    assert_eq!(away, 2, "one of each lost node is next in its queue");
}

#[tokio::test]
async fn work_goes_on_behind_a_cut_and_is_reported_afterwards() {
    let roles = chain(&["a"], |_, _| {});
    let mut cut = scenario(&roles, &[("all", 10)], &["cut=100%@5s+5m"]);
    cut.durations.give("a".parse().unwrap(), Span::from_secs(60), Span::from_secs(60));
    let (report, ..) = rehearse(cut).await;
    assert_eq!((report.totals.open, report.totals.attempts), (0, 10), "nothing runs twice");
    assert_eq!(report.took, Span::from_secs(305), "they are heard of when the links are back");
    assert_eq!((report.faults[0].nodes, report.faults[0].attempts), (10, 10));
}

#[tokio::test]
async fn slow_nodes_take_longer_by_their_factor() {
    let run = |faults: &[&str]| {
        let mut scenario = scenario(&chain(&["a"], |_, _| {}), &[("all", 5)], faults);
        scenario.durations.give("a".parse().unwrap(), Span::from_secs(60), Span::from_secs(60));
        async { rehearse(scenario).await.0 }
    };
    assert_eq!(run(&[]).await.took, Span::from_secs(60));
    let slow = run(&["slow=1x4"]).await;
    assert_eq!((slow.took, slow.faults[0].nodes), (Span::from_secs(240), 1));
    let too_slow = run(&["slow=1x100"]).await;
    assert_eq!(too_slow.totals.open, 1, "its time-out ends it");
}

#[tokio::test]
async fn a_killed_engine_goes_on_where_it_was() {
    let sizes = [("manager", 3), ("worker", 10)];
    let (calm, ..) = rehearse(scenario(&swarm(), &sizes, &[])).await;
    let (report, handle, _rehearsal) =
        rehearse(scenario(&swarm(), &sizes, &["engine-restart@30s", "engine-restart@2m+30s"])).await;
    assert_eq!(report.totals.open, 0);
    assert_eq!(report.totals.attempts, calm.totals.attempts, "nothing runs twice");
    assert_eq!(handle.read(rebar_model::World::epoch), rebar_model::Epoch(3));
    assert!(report.took > calm.took);
    assert!(report.faults.iter().all(|it| it.happened));
}

#[tokio::test]
async fn what_comes_too_late_is_told_as_that() {
    let (report, ..) = rehearse(scenario(&chain(&["a"], |_, _| {}), &[("all", 2)], &["lose=1@10h"])).await;
    assert!(!report.faults[0].happened);
    assert_eq!(report.totals.open, 0);
}

#[tokio::test]
async fn services_fail_too() {
    let (report, ..) = rehearse(scenario(&swarm(), &[("manager", 1)], &["fail:cluster-ca=100%"])).await;
    assert_eq!(report.faults[0].attempts, 1);
    assert!(count(&report, Standing::Failed) == 1 && count(&report, Standing::Blocked) > 0, "{report:?}");
}

#[tokio::test]
async fn faults_that_nothing_can_be_hit_with_are_refused() {
    for (fault, hint) in [("fail:web=5%", "no role `web`"), ("lose:db=1@1m", "no group `db`; it has manager, worker")] {
        let error = Rehearsal::prepare(scenario(&swarm(), &[("manager", 1)], &[fault])).await.err().unwrap();
        assert!(error.to_string().contains(hint), "{error}");
        assert_eq!(error.code(), "RB7001");
    }
}
