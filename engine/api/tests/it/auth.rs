//! Who may speak, and what malformed requests get.

use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Fixture, sent};

#[tokio::test]
async fn nothing_but_version_and_document_answers_without_a_token() {
    let fixture = Fixture::start().await;
    for open in ["/version", "/openapi.json"] {
        assert_eq!(sent(fixture.bare(Method::GET, open)).await.status(), 200, "{open}");
    }
    // Every address of the document, so that a new one cannot be forgotten here.
    let document = serde_json::to_value(rebar_api::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 20);
    for (path, methods) in paths {
        let path = path.strip_prefix("/api/v1").unwrap();
        let path = path.replace("{id}", "1").replace(['{', '}'], "");
        for method in methods.as_object().unwrap().keys().filter(|_| path != "/version") {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            fixture.refused(fixture.bare(method, &path), 401, "RB4001").await;
        }
    }
    fixture.refused(fixture.bare(Method::GET, "/nothing"), 401, "RB4001").await;
    for wrong in ["", "rebar_tes", "rebar_test2"] {
        fixture.refused(fixture.bare(Method::GET, "/nodes").bearer_auth(wrong), 401, "RB4001").await;
    }
    let basic = fixture.bare(Method::GET, "/nodes").header("Authorization", "Basic rebar_test");
    fixture.refused(basic, 401, "RB4001").await;
}

#[tokio::test]
async fn tokens_are_made_expire_and_are_taken_back() {
    let fixture = Fixture::start().await;
    let made: Value = fixture.post("/tokens", json!({"name": "bo", "ttl": "1h"}), 201).await;
    let token = made["token"].as_str().unwrap();
    let list = |token: &str| fixture.bare(Method::GET, "/tokens").bearer_auth(token);
    let seen: Value = sent(list(token)).await.json().await.unwrap();
    let names: Vec<_> = seen["items"].as_array().unwrap().iter().map(|it| (&it["name"], &it["current"])).collect();
    assert!(names.contains(&(&json!("bo"), &json!(true))) && names.contains(&(&json!("ana"), &json!(false))));
    assert!(!seen.to_string().contains(token));
    fixture.clock.advance(3_601);
    fixture.refused(list(token), 401, "RB4001").await;
    let lasting: Value = fixture.post("/tokens", json!({"name": "bo"}), 201).await;
    assert_ne!(lasting["token"], made["token"]);
    fixture.delete(&format!("/tokens/{}", lasting["view"]["id"].as_str().unwrap())).await;
    fixture.refused(list(lasting["token"].as_str().unwrap()), 401, "RB4001").await;
    for name in ["", "engine", "agent/n1", "a b"] {
        let request = fixture.request(Method::POST, "/tokens").json(&json!({"name": name}));
        fixture.refused(request, 400, "RB4002").await;
    }
    let unknown = fixture.request(Method::DELETE, &format!("/tokens/{}", "0".repeat(64)));
    fixture.refused(unknown, 404, "RB2001").await;
}

#[tokio::test]
async fn malformed_requests_get_problems() {
    let fixture = Fixture::start().await;
    let request = |method, path| fixture.request(method, path);
    fixture.refused(request(Method::GET, "/nothing"), 404, "RB4003").await;
    fixture.refused(request(Method::PUT, "/nodes"), 405, "RB4004").await;
    fixture.refused(request(Method::GET, "/nodes/Not_a_name"), 400, "RB4002").await;
    fixture.refused(request(Method::GET, "/nodes?lable=x"), 400, "RB4002").await;
    fixture.refused(request(Method::GET, "/nodes?limit=many"), 400, "RB4002").await;
    fixture.refused(request(Method::GET, "/services/ntp"), 400, "RB4002").await;
    fixture.refused(request(Method::POST, "/deployments").body("{}"), 415, "RB4006").await;
    let typed = |body: &str| {
        request(Method::POST, "/deployments").header("Content-Type", "application/json").body(body.to_owned())
    };
    fixture.refused(typed("{"), 400, "RB4002").await;
    let unknown = fixture.refused(typed(r#"{"name": "d", "workload": "w", "group": {}}"#), 400, "RB4002").await;
    assert!(unknown.detail.contains("group"), "{}", unknown.detail);
    fixture.refused(typed(&format!("\"{}\"", "x".repeat(2 << 20))), 413, "RB4005").await;
}

#[tokio::test]
async fn the_door_closes_in_order() {
    let mut fixture = Fixture::start().await;
    let mut stream =
        sent(fixture.request(Method::GET, "/events?since=now").header("Accept", "text/event-stream")).await;
    fixture.stop.cancel();
    let rest =
        tokio::time::timeout(crate::fixture::PATIENCE, async { while let Ok(Some(_)) = stream.chunk().await {} });
    rest.await.expect("the stream ends");
    tokio::time::timeout(crate::fixture::PATIENCE, &mut fixture.serving).await.expect("the door closes").unwrap();
}
