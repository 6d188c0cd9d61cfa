//! Rehearsals in which nothing goes wrong.

use rebar_model::{Span, Standing};
use rebar_rehearsal::{Basis, Link, Rehearsal, RehearsalError};
use serde_json::json;

use crate::fixture::{chain, count, rehearse, scenario, swarm};

#[tokio::test]
async fn a_swarm_of_five_ends_active() {
    let (report, handle, _rehearsal) = rehearse(scenario(&swarm(), &[("manager", 3), ("worker", 2)], &[])).await;
    assert_eq!(report.totals.open, 0, "{report:?}");
    assert_eq!(count(&report, Standing::Active), report.totals.node_roles);
    assert_eq!(report.totals.attempts, report.totals.node_roles, "nothing runs twice");
    let last = report.critical_path.last().unwrap();
    assert_eq!(last.node_role.role.as_str(), "swarm-verify");
    assert_eq!(report.critical_path[0].link, Link::Start);
    let sum = report.critical_path.iter().fold(Span::default(), |sum, it| sum.plus(it.took).plus(it.waited));
    assert_eq!(sum, report.took, "the path has no holes");
    // Secrets are references in the engine, simulated or not.
    let secret = |it: &serde_json::Value| rebar_model::SecretRef::from_value(it).is_some();
    let sealed = handle.read(|world| {
        let init = world.node_roles().values().find(|it| it.spec.id.role.as_str() == "swarm-init").unwrap();
        init.status.last.as_ref().unwrap().outputs.iter().filter(|(_, it)| secret(it)).count()
    });
    assert_eq!(sealed, 2);
}

#[tokio::test]
async fn equal_seeds_give_equal_reports() {
    let faults = ["fail=3%", "tempfail=5%", "lose=2@1m", "cut:worker=30%@2m+1m", "slow=20%x3", "engine-restart@90s"];
    let run = |seed| {
        let mut scenario = scenario(&swarm(), &[("manager", 3), ("worker", 12)], &faults);
        scenario.seed = seed;
        async { rehearse(scenario).await.0 }
    };
    let (first, again, other) = (run(1).await, run(1).await, run(2).await);
    assert_eq!(first, again);
    assert_ne!(first.took, other.took);
}

#[tokio::test]
async fn a_thousand_nodes_take_hardly_longer_than_ten() {
    let roles = chain(&["a", "b"], |_, _| {});
    let (few, ..) = rehearse(scenario(&roles, &[("all", 10)], &[])).await;
    let (many, ..) = rehearse(scenario(&roles, &[("all", 1_000)], &[])).await;
    assert_eq!(many.totals.standings, [(Standing::Active, 2_000)].into());
    assert_eq!(many.widest.attempts, 1_000);
    assert!(many.took < Span::from_secs(4 * few.took.as_millis() / 1_000), "{} {}", few.took, many.took);
}

#[tokio::test]
async fn attempts_take_what_a_person_says() {
    let mut scenario = scenario(&chain(&["a", "b"], |_, _| {}), &[("all", 1)], &[]);
    scenario.durations.give("a".parse().unwrap(), Span::from_secs(100), Span::from_secs(100));
    scenario.durations.give("b".parse().unwrap(), Span::from_secs(40), Span::from_secs(40));
    let (report, ..) = rehearse(scenario).await;
    assert_eq!(report.took, Span::from_secs(140));
    assert!(report.roles.iter().all(|it| it.basis == Basis::Given));
    assert_eq!(report.roles[0].role.as_str(), "a", "the slowest comes first");
}

#[tokio::test]
async fn a_lock_shows_on_the_critical_path() {
    let locked = chain(&["a", "b"], |_, spec| {
        spec.as_object_mut().unwrap().remove("requires");
        spec["concurrency"] = json!({"lock": "apt"});
    });
    let (report, ..) = rehearse(scenario(&locked, &[("all", 1)], &[])).await;
    assert_eq!(report.critical_path.iter().map(|it| it.link).collect::<Vec<_>>(), [Link::Start, Link::Lock]);
    assert_eq!(report.widest.attempts, 1);
}

#[tokio::test]
async fn a_pool_that_is_too_small_is_found() {
    let mut scenario = scenario(&swarm(), &[("manager", 1)], &[]);
    scenario.parameters[0].value = Some(json!("not a network"));
    let (report, ..) = rehearse(scenario).await;
    assert_eq!(count(&report, Standing::Failed), 1, "{report:?}");
}

#[tokio::test]
async fn an_output_that_nothing_can_be_made_for_is_told_before_anything_starts() {
    let odd =
        chain(&["a"], |_, spec| spec["outputs"]["out"]["schema"] = json!({"type": "string", "pattern": "^(?!x).$"}));
    let error = Rehearsal::prepare(scenario(&odd, &[("all", 1)], &[])).await.err().unwrap();
    let RehearsalError::Unmade(unmade) = &error else { panic!("{error:?}") };
    assert!(unmade[0].to_string().starts_with("role `a`, output `out`: its pattern"), "{}", unmade[0]);
    assert_eq!(error.code(), "RB7004");
    let mut given = scenario(&odd, &[("all", 1)], &[]);
    given.outputs.insert(("a".parse().unwrap(), "out".parse().unwrap()), json!("y"));
    assert_eq!(rehearse(given).await.0.totals.open, 0);
}

#[tokio::test]
async fn nobody_who_only_looks_starts_anything() {
    let rehearsal = Rehearsal::prepare(scenario(&swarm(), &[("manager", 1)], &[])).await.unwrap();
    let handle = rehearsal.door().borrow().clone().unwrap();
    let plan = handle.read(|world| rebar_scheduler::plan(world, &"demo".parse().unwrap())).unwrap();
    assert!(!plan.steps.is_empty());
    assert!(handle.read(|world| world.attempts().is_empty() && world.node_roles().is_empty()));
}
