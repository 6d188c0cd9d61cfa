//! `/deployments/{name}/explain` and `why`

use rebar_api::types::{DeploymentStatus, ExplainView, ValueOrigin};
use rebar_manifest::File;
use rebar_model::{Importance, Standing, WhoActs};
use reqwest::Method;
use serde_json::json;
use tokio::time::timeout;

use crate::fixture::{Agent, CLIENT, Fixture, PATIENCE, changed};

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
async fn of_a_log_the_last_lines_are_shown_and_long_ones_are_cut() {
    // As `src/limits.rs` has them.
    const LINES: usize = 20;
    const LINE: usize = 400;
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo().await;
    fixture.apply("demo").await;
    let shown = async || fixture.get::<ExplainView>("/deployments/demo/explain").await.causes[0].log.clone();
    let again = async || {
        let _: serde_json::Value = fixture.post("/deployments/demo/retry", json!({}), 202).await;
    };
    let numbered = |lines: usize| (1..=lines).map(|it| format!("line {it}")).collect::<Vec<_>>();

    let lines = [numbered(LINES - 2), vec!["ä".repeat(LINE), "ä".repeat(LINE + 1)]].concat();
    agent.fail(&lines.join("\n")).await;
    let cut = format!("{}…", "ä".repeat(LINE));
    assert_eq!(shown().await, [&lines[..LINES - 1], &[cut][..]].concat());

    again().await;
    agent.fail(&numbered(LINES + 1).join("\n")).await;
    assert_eq!(shown().await, numbered(LINES + 1)[1..]);

    again().await;
    // The pieces of a log may be as small as a line: these are more than are read at once.
    let attempt = agent.work().await.attempt;
    let mut offset = 0;
    for line in numbered(300) {
        let piece = format!("{line}\n");
        agent.log(attempt, offset, &piece).await;
        offset += piece.len() as u64;
    }
    agent.end(attempt, rebar_model::Report::Failed(Agent::failure())).await;
    assert_eq!(shown().await, numbered(300)[300 - LINES..]);
}

#[tokio::test]
async fn causes_are_looked_for_so_far_up() {
    // As `src/limits.rs` has it; what is asked about is at depth 0.
    const DEEPEST: usize = 64;
    let mut package = changed("1.0.0", &[]);
    let named = (1..=DEEPEST + 1).map(|it| format!("c{it}")).collect::<Vec<_>>().join(", ");
    let workload = String::from_utf8(package.get("workload.yaml").unwrap().bytes.clone()).unwrap();
    let workload = workload.replace("roles: [server, client]", &format!("roles: [server, client, {named}]"));
    package.insert("workload.yaml", File::text(workload)).unwrap();
    for at in 1..=DEEPEST + 1 {
        let before = if at == 1 { "server".to_owned() } else { format!("c{}", at - 1) };
        let role = format!(
            "apiVersion: rebar.dev/v1\nkind: Role\nmetadata: {{name: c{at}, summary: Wait}}\nspec:\n  scope: node\n  \
             runner: {{type: noop}}\n  requires: [{{role: {before}}}]\n"
        );
        package.insert(&format!("roles/c{at}/role.yaml"), File::text(role)).unwrap();
    }
    let fixture = Fixture::start().await;
    let mut agent = fixture.demo_of(&package).await;
    fixture.apply("demo").await;
    agent.work().await;
    let cause = async |at: usize| {
        let view: ExplainView = fixture.get(&format!("/deployments/demo/explain?address=c{at}@n1")).await;
        let [cause] = view.causes.as_slice() else { panic!("{view:?}") };
        (cause.kind.clone(), cause.node_roles[0].to_string())
    };
    assert_eq!(cause(DEEPEST).await, ("running".to_owned(), "demo/server@n1".to_owned()));
    assert_eq!(cause(DEEPEST + 1).await, ("upstream-waiting".to_owned(), "demo/c1@n1".to_owned()));
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
