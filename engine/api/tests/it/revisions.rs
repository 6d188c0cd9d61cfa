//! `/deployments/{name}/revisions`, plans towards other wishes, and going back.

use std::{collections::BTreeMap, fmt::Debug, str::FromStr};

use rebar_api::types::{Accepted, DeploymentView, Page, PlanView, RevisionDiff, RevisionView};
use rebar_model::{Action, RevisionNo};
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Fixture, package};

/// What a map holds under a name.
fn of<'a, K: Ord + FromStr<Err: Debug>, V>(map: &'a BTreeMap<K, V>, name: &str) -> Option<&'a V> {
    map.get(&name.parse().unwrap())
}

const PLAN: &str = "/deployments/demo/plan";
const APPLY: &str = "/deployments/demo/apply";

impl Fixture {
    /// Plans and applies towards something.
    async fn go(&self, towards: Value) -> Accepted {
        let plan: PlanView = self.post(PLAN, towards.clone(), 200).await;
        assert!(plan.rewishes, "{plan:?}");
        self.post(APPLY, json!({"plan": plan.id, "towards": towards}), 202).await
    }

    async fn revision(&self, no: u64) -> RevisionView {
        self.get(&format!("/deployments/demo/revisions/{no}")).await
    }

    async fn diff(&self, words: &str) -> RevisionDiff {
        self.get(&format!("/deployments/demo/revisions/{words}")).await
    }

    async fn wished(&self) -> DeploymentView {
        self.get("/deployments/demo").await
    }
}

#[tokio::test]
async fn what_a_plan_is_made_towards_is_wished_for_when_it_is_accepted() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.active_demo().await;
    fixture.import(&package("1.1.0")).await;
    let before = fixture.wished().await;
    let towards = json!({"workload": "web@1.1.0", "parameters": {"greeting": "yo"}});
    let plan: PlanView = fixture.post(PLAN, towards.clone(), 200).await;
    assert_eq!((plan.workload.reference.as_str(), plan.base.0, plan.rewishes), ("web@1.1.0", 1, true));
    assert_eq!(plan.counts.get(&Action::Change), Some(&1), "{:?}", plan.counts);
    assert_eq!(fixture.wished().await.spec, before.spec, "a plan changes nothing");
    // It is the plan towards that, and towards nothing else.
    for other in [json!(null), json!({"workload": "web@1.1.0"}), json!({"revision": 1})] {
        let request = fixture.request(Method::POST, APPLY).json(&json!({"plan": plan.id, "towards": other}));
        fixture.refused(request, 412, "RB2005").await;
    }
    let accepted: Accepted = fixture.post(APPLY, json!({"plan": plan.id, "towards": towards}), 202).await;
    assert_eq!(accepted.revision.0, 2);
    let after = fixture.wished().await;
    assert_eq!(after.status.workload.reference, "web@1.1.0");
    assert_eq!(after.applied.as_ref(), Some(&after.spec));
    agent.serve().await;
    let plan: PlanView = fixture.post(PLAN, json!({}), 200).await;
    assert!(!plan.rewishes, "now it is what is wished for");
}

#[tokio::test]
async fn revisions_say_what_was_wished_for_and_what_differs() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.active_demo().await;
    fixture.import(&package("1.1.0")).await;
    fixture.go(json!({"workload": "web@1.1.0", "parameters": {"greeting": "yo"}})).await;
    agent.serve().await;
    let first = fixture.revision(1).await;
    assert_eq!((first.workload.reference.as_str(), first.current, first.restores), ("web@1.0.0", false, None));
    assert_eq!(first.touched.iter().map(|it| it.action).collect::<Vec<_>>(), [Action::Create; 2]);
    assert!(of(&first.parameters, "password").is_some_and(|it| !it.is_string()), "masked");
    let second = fixture.revision(2).await;
    assert_eq!((second.by.0.as_str(), second.current), ("ana", true));
    assert_eq!(of(&second.parameters, "greeting"), Some(&json!("yo")));
    assert_eq!(second.touched.len(), 1);

    let diff = fixture.diff("2/diff").await;
    assert_eq!((diff.from.0, diff.to.0), (1, 2));
    let workload = diff.workload.unwrap();
    assert_eq!(workload.before.unwrap().reference + " " + &workload.after.reference, "web@1.0.0 web@1.1.0");
    let changed: Vec<_> = diff.parameters.iter().map(|(name, it)| (name.as_str(), &it.before, &it.after)).collect();
    assert_eq!(changed, [("greeting", &None, &Some(json!("yo")))]);
    assert!(diff.groups.is_empty() && diff.profiles.is_none());
    // The other way, and from the beginning.
    let back = fixture.diff("1/diff?from=2").await;
    assert_eq!(of(&back.parameters, "greeting").unwrap().after, None);
    let all = fixture.diff("1/diff").await;
    assert_eq!((all.from, all.workload.unwrap().before), (RevisionNo(0), None));
    assert_eq!(of(&all.groups, "web").unwrap().added.iter().map(ToString::to_string).collect::<Vec<_>>(), ["n1"]);
    assert!(of(&all.parameters, "password").is_some());
    for missing in ["/deployments/demo/revisions/3", "/deployments/demo/revisions/2/diff?from=7"] {
        let problem = fixture.refused(fixture.request(Method::GET, missing), 404, "RB2001").await;
        assert!(problem.detail.contains("revision"), "{}", problem.detail);
    }
}

#[tokio::test]
async fn going_back_is_a_plan_towards_an_earlier_revision() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.active_demo().await;
    let _agent = fixture.agent("n2").await;
    fixture.go(json!({"parameters": {"greeting": "yo"}})).await;
    agent.serve().await;
    let _: DeploymentView =
        fixture.send(Method::PATCH, "/deployments/demo", json!({"groups": {"web": ["n1", "n2"]}}), 200).await;
    fixture.apply("demo").await;
    let grown = fixture.diff("3/diff").await;
    assert_eq!(of(&grown.groups, "web").unwrap().added.iter().map(ToString::to_string).collect::<Vec<_>>(), ["n2"]);

    let accepted = fixture.go(json!({"revision": 1})).await;
    assert_eq!(accepted.revision.0, 4);
    let last = fixture.revision(4).await;
    assert_eq!((last.restores, last.current), (Some(RevisionNo(1)), true));
    let first = fixture.revision(1).await;
    assert_eq!((&last.spec, &last.parameters), (&first.spec, &first.parameters));
    assert!(last.touched.iter().any(|it| it.action == Action::Retire), "{:?}", last.touched);
    let none = fixture.diff("4/diff?from=1").await;
    assert!(none.workload.is_none() && none.groups.is_empty() && none.parameters.is_empty());
    assert_eq!(fixture.wished().await.spec, first.spec);
    let listed: Page<RevisionView> = fixture.get("/deployments/demo/revisions").await;
    assert_eq!(listed.items.iter().map(|it| it.no.0).collect::<Vec<_>>(), [4, 3, 2, 1]);
}

#[tokio::test]
async fn what_cannot_be_gone_towards_is_said() {
    let fixture = Fixture::start().await;
    let _agent = fixture.active_demo().await;
    let ask = |towards: Value| fixture.request(Method::POST, PLAN).json(&towards);
    fixture.refused(ask(json!({"revision": 9})), 404, "RB2001").await;
    fixture.refused(ask(json!({"workload": "web@9.0.0"})), 404, "RB2001").await;
    let secret = fixture.refused(ask(json!({"parameters": {"password": "x"}})), 400, "RB4002").await;
    assert!(secret.detail.contains("`password` is a secret"), "{}", secret.detail);
    let reference = json!({"parameters": {"greeting": {"$secret": "0123"}}});
    fixture.refused(ask(reference), 422, "RB4017").await;
    let wrong = fixture.refused(ask(json!({"parameters": {"greeting": 7}})), 422, "RB2004").await;
    assert_eq!(wrong.errors[0].code, "RB3012");
    fixture.refused(ask(json!({"wishes": {}})), 400, "RB4002").await;
}

#[tokio::test]
async fn revisions_of_a_deployment_that_is_gone_are_not_those_of_the_next_one() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.active_demo().await;
    let _: Accepted = fixture.post("/deployments/demo/destroy", json!({}), 202).await;
    agent.succeed(json!({})).await;
    agent.succeed(json!({})).await;
    let waited: Value = fixture.get("/deployments/demo/wait?for=removed").await;
    assert_eq!(waited["result"], "reached");
    fixture.clock.advance(1);
    let body = json!({"name": "demo", "workload": "web", "groups": {"web": ["n1"]}, "parameters": {"password": "x"}});
    let _: DeploymentView = fixture.post("/deployments", body, 201).await;
    let listed: Page<RevisionView> = fixture.get("/deployments/demo/revisions").await;
    assert!(listed.items.is_empty() && listed.next_page_token.is_none());
    fixture.refused(fixture.request(Method::GET, "/deployments/demo/revisions/1"), 404, "RB2001").await;
}
