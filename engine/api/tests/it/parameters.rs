//! `/parameters`, and that secrets stay secret.

use rebar_api::types::{OutputView, Page, ParameterView, ValueOrigin};
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Fixture, changed};

#[tokio::test]
async fn every_level_can_be_set_and_unset() {
    let fixture = Fixture::start().await;
    let _agent = fixture.demo().await;
    let paths = ["global/greeting", "profile/small/greeting", "deployment/demo/greeting", "node/n1/greeting"];
    for path in paths {
        let set: ParameterView =
            fixture.send(Method::PUT, &format!("/parameters/{path}"), json!({"value": path}), 200).await;
        assert_eq!((set.value, set.secret, set.by.0.as_str()), (json!(path), false, "ana"));
        assert_eq!(format!("{}/{}", set.scope, set.name), path);
    }
    let all: Page<ParameterView> = fixture.get("/parameters").await;
    assert_eq!(all.items.len(), 5, "with the password of the deployment");
    let mut walked = Vec::new();
    let mut token = String::new();
    loop {
        let page: Page<ParameterView> = fixture.get(&format!("/parameters?limit=2{token}")).await;
        walked.extend(page.items);
        let Some(next) = page.next_page_token else { break };
        token = format!("&page_token={next}");
    }
    assert_eq!(walked, all.items);
    let one: Page<ParameterView> = fixture.get("/parameters?scope=profile/small").await;
    assert_eq!(one.items.len(), 1);
    for path in paths {
        fixture.delete(&format!("/parameters/{path}")).await;
        fixture.refused(fixture.request(Method::DELETE, &format!("/parameters/{path}")), 404, "RB2001").await;
    }
    for (path, status, code) in [
        ("node/n9/x", 404, "RB2001"),
        ("deployment/nope/x", 404, "RB2001"),
        ("site/a/x", 400, "RB4002"),
        ("global/Not-one", 400, "RB4002"),
    ] {
        let request = fixture.request(Method::PUT, &format!("/parameters/{path}")).json(&json!({"value": 1}));
        fixture.refused(request, status, code).await;
    }
}

#[tokio::test]
async fn secrets_are_sealed_also_where_nobody_said_so() {
    let fixture = Fixture::start().await;
    let _agent = fixture.demo().await;
    let said: ParameterView =
        fixture.send(Method::PUT, "/parameters/global/pin", json!({"value": "1234-5678", "secret": true}), 200).await;
    let declared: ParameterView =
        fixture.send(Method::PUT, "/parameters/node/n1/password", json!({"value": "hunter3"}), 200).await;
    for set in [said, declared] {
        assert!(set.secret);
        assert_eq!(set.value["secret"], true);
        assert_eq!(set.value["fingerprint"].as_str().unwrap().len(), 8);
    }
    // Neither lists, plans, events nor the World know the values.
    let mut seen = vec![fixture.get::<Value>("/parameters").await, fixture.get("/events?limit=1000").await];
    seen.push(fixture.post("/deployments/demo/plan", json!({}), 200).await);
    let world = fixture.handle.read(|world| format!("{world:?}"));
    for text in seen.iter().map(Value::to_string).chain([world]) {
        for secret in ["1234-5678", "hunter2", "hunter3"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}

#[tokio::test]
async fn values_and_secrets_come_from_the_site() {
    let fixture = Fixture::start().await;
    let changes = [
        ("default: hello}", "from: {site: texts.hello}}"),
        (
            "password: {schema: {type: string}, secret: true}",
            "password: {schema: {type: string}, from: {secret: site_password}, secret: true}",
        ),
        ("  outputs:\n    url: {from", "  outputs:\n    greeting: {from: {deployment: greeting}}\n    url: {from"),
    ];
    let mut agent = fixture.demo_of(&changed("1.0.0", &changes)).await;
    fixture.delete("/parameters/deployment/demo/password").await;
    let problem = fixture.refused(fixture.request(Method::POST, "/deployments/demo/plan"), 422, "RB2004").await;
    let missing: Vec<_> = problem.errors.iter().map(|it| it.message.as_str()).collect();
    assert!(missing.iter().any(|it| it.contains("rebar attr set texts VALUE --global")), "{missing:?}");
    assert!(missing.iter().any(|it| it.contains("rebar attr set site_password - --global --secret")), "{missing:?}");
    let set: ParameterView =
        fixture.send(Method::PUT, "/parameters/global/site_password", json!({"value": "hunter9"}), 200).await;
    assert!(set.secret, "something takes it as a secret");
    let _: Value = fixture.send(Method::PUT, "/parameters/global/texts", json!({"value": {"hello": "hi"}}), 200).await;
    fixture.apply("demo").await;
    let work = agent.work().await;
    assert_eq!(work.inputs.values().cloned().collect::<Vec<_>>(), [json!("hi"), json!("hunter9")]);
    let outputs: Page<OutputView> = fixture.get("/deployments/demo/outputs").await;
    assert_eq!(outputs.items[0].value, Some(json!("hi")));
    let why: ValueOrigin = fixture.get("/deployments/demo/why?address=server@n1&input=greeting").await;
    let levels: Vec<_> = why.layers.iter().map(|it| (it.level.as_str(), it.wins)).collect();
    let others = [("global", false), ("deployment/demo", false), ("node/n1", false)];
    assert_eq!(levels, [&[("workload default web@1.0.0", false), ("site texts.hello", true)], &others[..]].concat());
    let why: ValueOrigin = fixture.get("/deployments/demo/why?address=server@n1&input=password").await;
    assert_eq!((why.origin.as_str(), &why.value.unwrap()["secret"]), ("site secret site_password", &json!(true)));
    let seen = fixture.get::<Value>("/deployments/demo/why?address=server@n1&input=password").await.to_string();
    assert!(!seen.contains("hunter9") && !seen.contains("$secret"), "{seen}");
}

#[tokio::test]
async fn references_come_from_the_engine_alone() {
    let fixture = Fixture::start().await;
    let forged = json!({"value": [{"$secret": "0".repeat(64)}]});
    fixture.refused(fixture.request(Method::PUT, "/parameters/global/x").json(&forged), 422, "RB4017").await;
}
