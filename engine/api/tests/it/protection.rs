//! What must not be lost: shown, refused, and taken away where it is named.

use rebar_api::types::{DeploymentStatus, PlanView};
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Agent, Fixture, changed};

async fn protected_demo(fixture: &Fixture) -> Agent {
    let agent =
        fixture.demo_of(&changed("1.0.0", &[("metadata: {name: server, summary: Serve}\nspec:\n", PROTECTED)])).await;
    let before: DeploymentStatus = fixture.get("/deployments/demo/status").await;
    assert!(before.protected.is_empty(), "nothing is there yet");
    fixture.activate(agent).await
}

const PROTECTED: &str = "metadata: {name: server, summary: Serve}\nspec:\n  protect: true\n";

#[tokio::test]
async fn wiping_wants_protected_roles_named() {
    let fixture = Fixture::start().await;
    let _agent = protected_demo(&fixture).await;
    let status: DeploymentStatus = fixture.get("/deployments/demo/status").await;
    assert_eq!(status.protected.iter().map(rebar_model::Name::as_str).collect::<Vec<_>>(), ["server"]);
    for verb in ["rebuild", "destroy"] {
        let path = format!("/deployments/demo/{verb}");
        let problem = fixture.refused(fixture.request(Method::POST, &path), 403, "RB2012").await;
        assert_eq!(problem.hint.as_deref(), Some("say --allow-protected server, if it is to go"));
        let other = fixture.request(Method::POST, &path).json(&json!({"allow_protected": ["client"]}));
        fixture.refused(other, 403, "RB2012").await;
    }
    let after: DeploymentStatus = fixture.get("/deployments/demo/status").await;
    assert_eq!((after.mode, after.seq), (status.mode, status.seq), "a refusal changes nothing");
    let _: Value = fixture.post("/deployments/demo/rebuild", json!({"allow_protected": ["server"]}), 202).await;
    let _: Value = fixture.post("/deployments/demo/destroy", json!({}), 202).await;
}

#[tokio::test]
async fn a_plan_says_what_is_protected_and_wants_it_named() {
    let fixture = Fixture::start().await;
    let _agent = protected_demo(&fixture).await;
    let _second = fixture.agent("n2").await;
    let _: Value = fixture.send(Method::PATCH, "/deployments/demo", json!({"groups": {"web": ["n2"]}}), 200).await;
    let plan: PlanView = fixture.post("/deployments/demo/plan", json!({}), 200).await;
    assert_eq!(plan.protected.iter().map(rebar_model::Name::as_str).collect::<Vec<_>>(), ["server"]);
    let undone: Vec<_> = plan.steps.iter().filter(|it| it.undoes).map(|it| it.address.as_str()).collect();
    assert_eq!(undone, ["client@n1", "server@n1"]);
    let apply = |body: Value| fixture.request(Method::POST, "/deployments/demo/apply").json(&body);
    fixture.refused(apply(json!({"plan": plan.id})), 403, "RB2012").await;
    let named = json!({"plan": plan.id, "allow_protected": ["server"]});
    let _: Value = fixture.post("/deployments/demo/apply", named, 202).await;
}

#[tokio::test]
async fn a_node_is_forgotten_with_what_is_protected_where_that_is_named() {
    let fixture = Fixture::start().await;
    let _agent = protected_demo(&fixture).await;
    let gone = |rest: &str| fixture.request(Method::DELETE, &format!("/nodes/n1?gone=true{rest}"));
    fixture.refused(gone(""), 403, "RB2012").await;
    fixture.refused(gone("&allow_protected=client"), 403, "RB2012").await;
    fixture.refused(gone("&allow_protected=Not-a-role"), 400, "RB4002").await;
    fixture.delete("/nodes/n1?gone=true&allow_protected=client,server").await;
}
