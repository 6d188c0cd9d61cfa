//! `/deployments/{name}/explain` and `why`

use rebar_api::types::{ExplainView, ValueOrigin};
use rebar_model::{Standing, WhoActs};
use reqwest::Method;
use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn the_root_cause_comes_first() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo().await;
    fixture.apply("demo").await;
    let running: ExplainView = fixture.get("/deployments/demo/explain?address=client@n1").await;
    assert_eq!((running.standing, running.who), (Some(Standing::Waiting), WhoActs::Rebar));
    assert_eq!(running.causes[0].kind, "running");
    let log = (1..=40).map(|it| format!("line {it}")).collect::<Vec<_>>().join("\n");
    let attempt = agent.fail(&log).await;
    let check = |view: &ExplainView| {
        let cause = &view.causes[0];
        assert_eq!((cause.kind.as_str(), cause.attempt, cause.count), ("failed", Some(attempt), 1));
        assert_eq!(cause.text, "server@n1: attempt 1 failed: apply, exit code 100, no such package");
        assert_eq!(cause.holds_back.iter().map(ToString::to_string).collect::<Vec<_>>(), ["demo/client@n1"]);
        assert_eq!((cause.log.len(), cause.log.last().map(String::as_str)), (20, Some("line 40")));
        assert!(cause.next.iter().any(|it| it.contains("retry")), "{:?}", cause.next);
        assert_eq!(view.who, WhoActs::You);
    };
    let whole: ExplainView = fixture.get("/deployments/demo/explain").await;
    check(&whole);
    assert_eq!(whole.headline, "demo: 0 of 2 active, 1 failed, 1 blocked");
    let blocked: ExplainView = fixture.get("/deployments/demo/explain?address=client@n1").await;
    check(&blocked);
    assert!(blocked.headline.starts_with("client@n1 is blocked: server@n1: attempt 1 failed"), "{}", blocked.headline);
    fixture.refused(fixture.request(Method::GET, "/deployments/demo/explain?address=x@n1"), 404, "RB2001").await;
    fixture.refused(fixture.request(Method::GET, "/deployments/nope/explain"), 404, "RB2001").await;
}

#[tokio::test]
async fn nothing_to_explain_says_so() {
    let fixture = Fixture::start().await;
    let _agent = fixture.active_demo().await;
    let view: ExplainView = fixture.get("/deployments/demo/explain").await;
    assert_eq!((view.headline.as_str(), view.who, view.causes.len()), ("demo: 2 of 2 active", WhoActs::Nobody, 0));
}

#[tokio::test]
async fn values_are_followed_to_their_origin() {
    let fixture = Fixture::start().await;
    let _agent = fixture.active_demo().await;
    let url: ValueOrigin = fixture.get("/deployments/demo/why?address=client@n1&input=url").await;
    assert_eq!(url.value, Some(json!("http://n1")));
    assert_eq!(url.producers[0].id.to_string(), "demo/server@n1");
    let inputs = &url.producers[0].inputs;
    let greeting = inputs.iter().find(|it| it.input.as_str() == "greeting").unwrap();
    assert_eq!(greeting.value, Some(json!("hello")));
    let deciding = greeting.layers.iter().find(|it| it.wins).unwrap();
    assert_eq!(deciding.level, "workload default web@1.0.0");
    let password = inputs.iter().find(|it| it.input.as_str() == "password").unwrap();
    assert_eq!(password.value.as_ref().unwrap()["secret"], true);
    let missing = fixture.request(Method::GET, "/deployments/demo/why?address=client@n1&input=nothing");
    fixture.refused(missing, 404, "RB2001").await;
}
