//! `/deployments/{name}/explain` and `why`

use rebar_api::types::{DeploymentStatus, ExplainView, ValueOrigin};
use rebar_model::{Importance, Standing, WhoActs};
use reqwest::Method;
use serde_json::json;
use tokio::time::timeout;

use crate::fixture::{CLIENT, Fixture, PATIENCE, changed};

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

/// The role `client` as a name that the service waits for.
const NAMED: &str = "\
apiVersion: rebar.dev/v1
kind: Role
metadata: {name: client, summary: Use it, importance: low}
spec:
  scope: node
  runsOn: engine
  runner: {type: builtin, action: dns.record}
  inputs:
    name: {schema: {type: string}, from: {expr: \"'web.' + node.name\"}}
    values: {schema: {type: array, items: {type: string}}, from: {role: server, output: url, take: all}}
";

#[tokio::test]
async fn what_a_service_waits_for_is_told() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo_of(&changed("1.0.0", &[(CLIENT, NAMED)])).await;
    fixture.apply("demo").await;
    agent.serve().await;
    let text = async {
        loop {
            let view: ExplainView = fixture.get("/deployments/demo/explain?address=client@n1").await;
            let text = view.causes[0].text.clone();
            if text.contains(';') {
                break text;
            }
        }
    };
    let text = timeout(PATIENCE, text).await.expect("the service to be asked");
    assert_eq!(text, "client@n1: attempt 1 is under way; nobody answers");
    let status: DeploymentStatus = fixture.get("/deployments/demo/status").await;
    let seen: Vec<_> = status.node_roles.iter().map(|it| (it.role.as_str(), it.importance)).collect();
    assert_eq!(seen, [("server", Importance::Normal), ("client", Importance::Low)]);
    // It stays known why, when time is up.
    fixture.clock.advance(61);
    let failed = async {
        loop {
            let view: ExplainView = fixture.get("/deployments/demo/explain").await;
            if view.causes[0].kind == "failed" {
                break view.causes[0].text.clone();
            }
        }
    };
    let text = timeout(PATIENCE, failed).await.expect("the deadline to be seen");
    assert!(text.ends_with("before the deadline; nobody answers"), "{text}");
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
