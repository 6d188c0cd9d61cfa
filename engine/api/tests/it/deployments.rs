//! `/deployments`: wishes, plans, what people have done, outputs, revisions.

use rebar_api::types::{
    Accepted, DeploymentStatus, DeploymentSummary, DeploymentView, OutputView, Page, PlanView, RevisionView,
};
use rebar_model::{Action, Standing};
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Fixture, package, sent};

#[tokio::test]
async fn wishes_are_made_and_changed() {
    let fixture = Fixture::start().await;
    let _agent = fixture.demo().await;
    let twice = json!({"name": "demo", "workload": "web"});
    fixture.refused(fixture.request(Method::POST, "/deployments").json(&twice), 409, "RB2002").await;
    let nothing = json!({"name": "other", "workload": "nothing"});
    fixture.refused(fixture.request(Method::POST, "/deployments").json(&nothing), 404, "RB2001").await;
    let read: DeploymentView = fixture.get("/deployments/demo").await;
    assert_eq!(read.spec.groups.len(), 1);
    fixture.import(&package("1.1.0")).await;
    let patch = |etag: &str| {
        let change = json!({"workload": "web@1.1.0"});
        fixture.request(Method::PATCH, "/deployments/demo").header("If-Match", etag).json(&change)
    };
    let changed = sent(patch(&read.etag)).await;
    assert_eq!(changed.status(), 200);
    let etag = changed.headers()["etag"].to_str().unwrap().to_owned();
    let changed: DeploymentView = changed.json().await.unwrap();
    assert_eq!((changed.status.workload.reference.as_str(), &changed.etag), ("web@1.1.0", &etag));
    assert_eq!(changed.spec.groups, read.spec.groups);
    // Who read the version before is told.
    fixture.refused(patch(&read.etag), 412, "RB4009").await;
    let groups: DeploymentView = fixture.send(Method::PATCH, "/deployments/demo", json!({"groups": {}}), 200).await;
    assert!(groups.spec.groups.is_empty());
    fixture.refused(fixture.request(Method::GET, "/deployments/nope"), 404, "RB2001").await;
    fixture.refused(fixture.request(Method::DELETE, "/workloads/web@1.1.0"), 409, "RB2003").await;
}

#[tokio::test]
async fn a_plan_says_what_and_why_and_goes_stale() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo().await;
    let plan: PlanView = fixture.post("/deployments/demo/plan", json!({}), 200).await;
    assert!(plan.changes);
    assert_eq!(plan.counts.clone().into_iter().collect::<Vec<_>>(), [(Action::Create, 2)]);
    let steps: Vec<_> = plan.steps.iter().map(|it| (it.address.as_str(), it.depth, it.why.join("; "))).collect();
    assert_eq!(steps, [("server@n1", 0, "new".to_owned()), ("client@n1", 1, "new".to_owned())]);
    assert_eq!(plan.steps[1].requires, [plan.steps[0].id.clone()]);
    fixture.send::<Value>(Method::PUT, "/parameters/deployment/demo/greeting", json!({"value": "hi"}), 200).await;
    let apply = |plan: &PlanView| {
        fixture.request(Method::POST, "/deployments/demo/apply").json(&json!({"plan": plan.id, "grants": []}))
    };
    let stale = fixture.refused(apply(&plan), 412, "RB2005").await;
    assert_eq!(stale.hint.as_deref(), Some("rebar plan demo"));
    let plan: PlanView = fixture.post("/deployments/demo/plan", json!({}), 200).await;
    let applied = sent(apply(&plan)).await;
    assert_eq!(
        (applied.status(), &applied.headers()["location"]),
        (202.try_into().unwrap(), &"/api/v1/deployments/demo/status".parse().unwrap())
    );
    let applied: Accepted = applied.json().await.unwrap();
    assert_eq!(applied.revision.0, 1);
    agent.serve().await;
    agent.succeed(json!({})).await;
    // A changed parameter: what changes, from what to what, and who said so.
    fixture.get::<Value>("/deployments/demo/wait").await;
    fixture.send::<Value>(Method::PUT, "/parameters/node/n1/greeting", json!({"value": "ho"}), 200).await;
    let plan: PlanView = fixture.post("/deployments/demo/plan", json!({}), 200).await;
    let why: Vec<_> = plan.steps.iter().map(|it| (it.action, it.why.join("; "))).collect();
    assert_eq!(why[0], (Action::Change, "input greeting: hi → ho (node/n1)".to_owned()));
    assert_eq!(why[1].0, Action::Maybe);
}

#[tokio::test]
async fn every_mistake_of_a_plan_has_its_number() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.import(&package("1.0.0")).await.status(), 201);
    let body =
        json!({"name": "bad", "workload": "web", "groups": {"web": ["n9"], "db": []}, "parameters": {"color": 1}});
    let _: Value = fixture.post("/deployments", body, 201).await;
    let problem = fixture.refused(fixture.request(Method::POST, "/deployments/bad/plan"), 422, "RB2004").await;
    let codes: Vec<_> = problem.errors.iter().map(|it| it.code.as_str()).collect();
    for code in ["RB3003", "RB3004", "RB3011"] {
        assert!(codes.contains(&code), "{code}: {problem:?}");
    }
    fixture.refused(fixture.request(Method::POST, "/deployments/nope/plan"), 404, "RB2001").await;
}

#[tokio::test]
async fn status_lists_and_revisions_tell_how_it_stands() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo().await;
    let before: Page<DeploymentSummary> = fixture.get("/deployments").await;
    assert!(before.items[0].settled && !before.items[0].active && before.items[0].counts.is_empty());
    fixture.apply("demo").await;
    let work = agent.work().await;
    let status: DeploymentStatus = fixture.get("/deployments/demo/status").await;
    let stands: Vec<_> = status.node_roles.iter().map(|it| (it.address.as_str(), it.standing, it.depth)).collect();
    assert_eq!(stands, [("server@n1", Standing::Running, 0), ("client@n1", Standing::Waiting, 1)]);
    assert_eq!(status.node_roles[0].attempt, Some(work.attempt));
    assert_eq!(status.node_roles[1].why.as_deref(), Some("waits for server@n1"));
    assert!(!status.settled && !status.active && !status.needs_person);
    let door: &dyn rebar_ports::AgentDoor = &fixture.handle;
    let phase = Some(rebar_model::Phase::Apply);
    door.progress(&agent.node, work.attempt, phase, 40, "fetching".to_owned()).await.unwrap();
    let status: DeploymentStatus = fixture.get("/deployments/demo/status").await;
    let progress = status.node_roles[0].progress.clone().unwrap();
    assert_eq!((progress.percent, progress.text.as_str(), progress.phase), (40, "fetching", phase));
    let outputs = serde_json::from_value(json!({"url": "http://n1", "token": "s3cret"})).unwrap();
    agent.end(work.attempt, rebar_model::Report::Succeeded { outputs, converged: false, note: None }).await;
    agent.succeed(json!({})).await;
    fixture.get::<Value>("/deployments/demo/wait").await;
    let after: Page<DeploymentSummary> = fixture.get("/deployments?limit=1").await;
    assert!(after.items[0].settled && after.items[0].active && after.next_page_token.is_none());
    assert_eq!(after.items[0].counts.clone().into_iter().collect::<Vec<_>>(), [(Standing::Active, 2)]);
    fixture.send::<Value>(Method::PUT, "/parameters/global/greeting", json!({"value": "hi"}), 200).await;
    fixture.apply("demo").await;
    let first: Page<RevisionView> = fixture.get("/deployments/demo/revisions?limit=1").await;
    let token = first.next_page_token.unwrap();
    let second: Page<RevisionView> = fixture.get(&format!("/deployments/demo/revisions?page_token={token}")).await;
    let seen: Vec<_> =
        first.items.iter().chain(&second.items).map(|it| (it.no.0, it.current, it.by.0.as_str())).collect();
    assert_eq!(seen, [(2, true, "ana"), (1, false, "ana")]);
    assert!(second.next_page_token.is_none());
}

#[tokio::test]
async fn people_pause_resume_cancel_and_retry() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo().await;
    let post = |verb: &str, body: Value| {
        let path = format!("/deployments/demo/{verb}");
        let fixture = &fixture;
        async move { fixture.post::<Accepted>(&path, body, 202).await }
    };
    post("pause", json!({"reason": "lunch"})).await;
    fixture.apply("demo").await;
    let status: DeploymentStatus = fixture.get("/deployments/demo/status").await;
    assert_eq!((status.node_roles[0].standing, status.paused.as_deref()), (Standing::Held, Some("lunch")));
    assert_eq!(status.node_roles[0].why.as_deref(), Some("the deployment is paused: lunch"));
    // A body may be left out.
    assert_eq!(sent(fixture.request(Method::POST, "/deployments/demo/resume")).await.status(), 202);
    let first = agent.work().await.attempt;
    assert_eq!(sent(fixture.request(Method::POST, "/deployments/demo/cancel")).await.status(), 202);
    agent.end(first, rebar_model::Report::Cancelled).await;
    let status: DeploymentStatus = fixture.get("/deployments/demo/status").await;
    assert_eq!(status.paused.as_deref(), Some("cancelled by ana"));
    fixture.refused(fixture.request(Method::POST, "/deployments/demo/retry"), 409, "RB2008").await;
    post("resume", json!({})).await;
    agent.fail("oh\n").await;
    let nobody = json!({"addresses": ["server@n2"]});
    fixture.refused(fixture.request(Method::POST, "/deployments/demo/retry").json(&nobody), 404, "RB2001").await;
    post("retry", json!({"addresses": ["server@n1"]})).await;
    agent.serve().await;
    agent.succeed(json!({})).await;
    fixture.refused(fixture.request(Method::POST, "/deployments/nope/pause"), 404, "RB2001").await;
}

#[tokio::test]
async fn a_deployment_is_rebuilt_and_destroyed() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.active_demo().await;
    let _: Accepted = fixture.post("/deployments/demo/rebuild", json!({}), 202).await;
    fixture.refused(fixture.request(Method::POST, "/deployments/demo/rebuild"), 409, "RB2007").await;
    agent.succeed(json!({})).await;
    agent.succeed(json!({})).await;
    agent.serve().await;
    agent.succeed(json!({})).await;
    let waited: Value = fixture.get("/deployments/demo/wait?for=active").await;
    assert_eq!((&waited["result"], &waited["status"]["rebuilds"]), (&json!("reached"), &json!(1)));
    let _: Accepted = fixture.post("/deployments/demo/destroy", json!({}), 202).await;
    agent.succeed(json!({})).await;
    agent.succeed(json!({})).await;
    let waited: Value = fixture.get("/deployments/demo/wait?for=removed").await;
    assert_eq!((&waited["result"], &waited["status"]), (&json!("reached"), &Value::Null));
    fixture.refused(fixture.request(Method::GET, "/deployments/demo/status"), 404, "RB2001").await;
}

#[tokio::test]
async fn outputs_hide_secrets_until_asked() {
    let fixture = Fixture::start().await;
    let _agent = fixture.active_demo().await;
    let of = |page: Page<OutputView>| {
        page.items
            .into_iter()
            .map(|it| (it.name.to_string(), it.value.unwrap_or_default(), it.secret))
            .collect::<Vec<_>>()
    };
    let hidden = of(fixture.get("/deployments/demo/outputs").await);
    assert_eq!(hidden[1], ("url".to_owned(), json!(["http://n1"]), false));
    assert!(hidden[0].2 && hidden[0].1[0]["secret"] == true, "{hidden:?}");
    let shown = of(fixture.get("/deployments/demo/outputs?reveal=true").await);
    assert_eq!(shown[0], ("token".to_owned(), json!(["s3cret"]), true));
}
