//! `/nodes`

use rebar_api::types::{AddedNodeView, EnrolmentView, NodeStanding, NodeView, Page};
use rebar_model::TokenHash;
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::Fixture;

#[tokio::test]
async fn nodes_come_change_and_go() {
    let fixture = Fixture::start().await;
    let body = json!({"name": "n1", "provider": "join", "labels": {"rack": "b2"}, "profiles": ["small"]});
    let added: AddedNodeView = fixture.post("/nodes", body.clone(), 201).await;
    assert_eq!(added.instruction.as_deref(), Some("join engine:8091"));
    assert_eq!(added.node.standing, NodeStanding::Expected);
    fixture.refused(fixture.request(Method::POST, "/nodes").json(&body), 409, "RB2002").await;
    let option = json!({"name": "n2", "provider": "join", "options": {"x": "y"}});
    fixture.refused(fixture.request(Method::POST, "/nodes").json(&option), 422, "RB4015").await;
    let docker = json!({"name": "n2", "provider": "docker"});
    fixture.refused(fixture.request(Method::POST, "/nodes").json(&docker), 422, "RB4016").await;
    let change = json!({"labels": {"rack": null, "tier": "db"}, "maintenance": {"reason": "new disk"}});
    let changed: NodeView = fixture.send(Method::PATCH, "/nodes/n1", change, 200).await;
    assert_eq!(changed.standing, NodeStanding::Maintenance);
    assert_eq!(changed.node.labels.into_iter().collect::<Vec<_>>(), [("tier".to_owned(), "db".to_owned())]);
    assert_eq!(changed.node.profiles.len(), 1);
    let changed: NodeView = fixture.send(Method::PATCH, "/nodes/n1", json!({"profiles": []}), 200).await;
    assert_eq!((changed.standing, changed.node.profiles.len()), (NodeStanding::Maintenance, 0));
    let changed: NodeView = fixture.send(Method::PATCH, "/nodes/n1", json!({"maintenance": null}), 200).await;
    assert_eq!(changed.standing, NodeStanding::Expected);
    fixture.delete("/nodes/n1").await;
    fixture.refused(fixture.request(Method::GET, "/nodes/n1"), 404, "RB2001").await;
    fixture.refused(fixture.request(Method::DELETE, "/nodes/n1"), 404, "RB2001").await;
}

#[tokio::test]
async fn a_new_enrolment_token_is_shown_once() {
    let fixture = Fixture::start().await;
    let _: Value = fixture.post("/nodes", json!({"name": "n1", "provider": "join"}), 201).await;
    let view: EnrolmentView = fixture.post("/nodes/n1/token", json!({}), 201).await;
    let kept = fixture.handle.read(|world| world.enrol_tokens()[&TokenHash::of(&view.token)].clone());
    assert_eq!(kept.expires_at, view.expires_at);
    assert!(view.instruction.contains(&view.token) && view.instruction.contains("engine:8091"));
    fixture.refused(fixture.request(Method::POST, "/nodes/n2/token"), 404, "RB2001").await;
}

#[tokio::test]
async fn lists_have_pages_and_filters() {
    let fixture = Fixture::start().await;
    for (name, rack) in [("n1", "a"), ("n2", "b"), ("n3", "a"), ("n4", "a")] {
        let body = json!({"name": name, "provider": "join", "labels": {"rack": rack}});
        let _: Value = fixture.post("/nodes", body, 201).await;
    }
    let names = |page: &Page<NodeView>| page.items.iter().map(|it| it.node.name.to_string()).collect::<Vec<_>>();
    let first: Page<NodeView> = fixture.get("/nodes?limit=2&label=rack%3Da").await;
    assert_eq!(names(&first), ["n1", "n3"]);
    // What comes and goes between two pages neither doubles nor hides anything.
    fixture.delete("/nodes/n3").await;
    let token = first.next_page_token.unwrap();
    let second: Page<NodeView> = fixture.get(&format!("/nodes?limit=2&label=rack%3Da&page_token={token}")).await;
    assert_eq!((names(&second), second.next_page_token), (vec!["n4".to_owned()], None));
    assert!(second.revision > first.revision);
    let all: Page<NodeView> = fixture.get("/nodes?limit=100000").await;
    assert_eq!(names(&all), ["n1", "n2", "n4"]);
    fixture.refused(fixture.request(Method::GET, "/nodes?label=%3D"), 400, "RB4002").await;
}

#[tokio::test]
async fn a_node_in_use_stays_unless_it_is_gone() {
    let fixture = Fixture::start().await;
    let _agent = fixture.active_demo().await;
    let node: NodeView = fixture.get("/nodes/n1").await;
    assert_eq!((node.standing, node.deployments.len()), (NodeStanding::Ready, 1));
    fixture.refused(fixture.request(Method::DELETE, "/nodes/n1"), 409, "RB2003").await;
    fixture.delete("/nodes/n1?gone=true").await;
}
