//! `/breakers` and `/deployments/{name}/breaker`

use rebar_api::types::{BreakerView, DeploymentStatus, ExplainView, Page};
use rebar_model::Standing;
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Fixture, changed};

#[tokio::test]
async fn one_that_opens_says_why_and_holds_everything() {
    let fixture = Fixture::start().await;
    let package =
        changed("1.0.0", &[("  groups:\n", "  rollout: {breaker: {consecutive: 1, maxFailed: 50%}}\n  groups:\n")]);
    let mut agent = fixture.demo_of(&package).await;
    let calm: BreakerView = fixture.get("/deployments/demo/breaker").await;
    assert_eq!((calm.state.as_str(), calm.why, calm.consecutive, calm.max_failed), ("closed", None, Some(1), Some(0)));
    fixture.apply("demo").await;
    let attempt = agent.fail("no space left").await;
    let open: BreakerView = fixture.get("/deployments/demo/breaker").await;
    assert_eq!((open.state.as_str(), open.by.map(|it| it.0)), ("open", Some("engine".to_owned())));
    let why = format!("attempts failed on 1 node, and 0 may fail; the last is attempt {attempt}");
    assert_eq!(open.why.as_deref(), Some(why.as_str()));
    let _: Value = fixture.post("/deployments/demo/retry", json!({}), 202).await;
    let status: DeploymentStatus = fixture.get("/deployments/demo/status").await;
    assert!(status.settled && status.needs_person && status.breaker.why == Some(why));
    assert_eq!(status.node_roles[0].standing, Standing::Held);
    let explained: ExplainView = fixture.get("/deployments/demo/explain").await;
    assert_eq!((explained.causes[0].kind.as_str(), explained.causes.len()), ("breaker-open", 1));
    assert!(explained.causes[0].next.iter().any(|it| it == "rebar breaker reset demo --probe"), "{explained:?}");

    let half: BreakerView = fixture.post("/deployments/demo/breaker/reset", json!({"probe": true}), 202).await;
    assert_eq!((half.state.as_str(), half.probe.map(|it| it.local())), ("half-open", Some("server@n1".to_owned())));
    agent.serve().await;
    agent.succeed(json!({})).await;
    let closed: BreakerView = fixture.get("/deployments/demo/breaker").await;
    assert_eq!((closed.state.as_str(), closed.failed.len()), ("closed", 0));
}

#[tokio::test]
async fn a_person_opens_and_closes_it() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo().await;
    let open: BreakerView = fixture.post("/deployments/demo/breaker/trip", json!({"reason": "errors"}), 202).await;
    assert_eq!((open.by.unwrap().0.as_str(), open.why.as_deref()), ("ana", Some("a person opened it: errors")));
    fixture.apply("demo").await;
    let waited: Value = fixture.get("/deployments/demo/wait?for=active").await;
    assert_eq!(waited["result"], "unreachable", "{waited}");
    let listed: Page<BreakerView> = fixture.get("/breakers").await;
    assert_eq!(listed.items.iter().map(|it| it.state.as_str()).collect::<Vec<_>>(), ["open"]);
    let _: BreakerView = fixture.post("/deployments/demo/breaker/reset", json!({}), 202).await;
    agent.serve().await;
    for verb in ["trip", "reset"] {
        let path = format!("/deployments/nope/breaker/{verb}");
        fixture.refused(fixture.request(Method::POST, &path), 404, "RB2001").await;
    }
    fixture.refused(fixture.request(Method::GET, "/deployments/nope/breaker"), 404, "RB2001").await;
    let wrong = fixture.request(Method::POST, "/deployments/demo/breaker/reset").json(&json!({"force": true}));
    fixture.refused(wrong, 400, "RB4002").await;
}
