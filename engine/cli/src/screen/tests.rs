//! Pictures of screens: what people see at 80 and 120 columns, with Unicode and without. A change of a screen shows up as a change
//! of its picture in `snapshots/`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rebar_api::types::{
    AgentReleaseView, AgentView, BreakerView, DeploymentStatus, DeploymentSummary, EventView, ExplainView, NodeView,
    OutputView, PlanView, Problem, RevisionDiff, RevisionView, ServiceName, UpgradeView, ValueOrigin,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    Detail, Look, agent, bars, breaker, deployment, event, explain, failure, node, origin, plan, proof, rehearsal,
    service, status, summary,
};
use crate::failure::Failure;

const DIGEST: &str = "3fa94b1c77d0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f607182930";

fn now() -> Timestamp {
    "2026-11-21T12:07:41Z".parse().unwrap()
}

fn record<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A picture at both widths and with both sets of signs, in one file; what looks the same is there once.
fn picture(name: &str, draw: impl Fn(&Look) -> String) {
    let mut parts: Vec<(String, String)> = Vec::new();
    for ascii in [false, true] {
        for width in [80, 120] {
            let text = draw(&Look { ascii, ..Look::plain(width) });
            assert!(!ascii || text.is_ascii(), "{name} is not ASCII:\n{text}");
            let title = format!("{width}{}", if ascii { " ascii" } else { "" });
            match parts.iter_mut().find(|(_, known)| *known == text) {
                Some((titles, _)) => titles.extend([", ", &title]),
                None => parts.push((title, text)),
            }
        }
    }
    let parts: Vec<String> = parts.into_iter().map(|(titles, text)| format!("== {titles}\n{text}")).collect();
    insta::assert_snapshot!(name, parts.join("\n"));
}

fn row(address: &str, standing: &str, extra: Value) -> Value {
    let (role, target) = address.split_once('@').unwrap();
    let node = (target != "prod").then_some(target);
    let id = node.map_or_else(|| format!("prod/{role}"), |it| format!("prod/{role}@{it}"));
    let mut row = json!({
        "id": id, "address": address, "role": role, "node": node, "group": null, "ordinal": 0, "depth": 1,
        "milestone": role == "kubelet", "importance": "normal", "standing": standing, "who": "rebar", "reasons": [], "why": null,
        "since": "2026-11-21T12:07:00Z", "attempts": 1, "attempt": 7, "deadline": null, "progress": null
    });
    row.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    row
}

fn status_of(rows: Vec<Value>, extra: Value) -> DeploymentStatus {
    let mut counts = BTreeMap::<String, usize>::new();
    for row in &rows {
        *counts.entry(row["standing"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let mut status = json!({
        "name": "prod", "workload": {"reference": "kubernetes@1.4.0", "digest": DIGEST}, "revision": 4,
        "mode": "converging", "paused": null, "breaker": {"deployment": "prod", "state": "closed", "since": null, "by": null, "why": null, "evidence": null, "probe": null, "in_a_row": 0, "consecutive": null, "failed": [], "max_failed": null}, "rebuilds": 0, "protected": [], "counts": counts, "active": false, "settled": false,
        "needs_person": false, "node_roles": rows, "seq": 99, "at": "2026-11-21T12:07:41Z"
    });
    status.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    record(status)
}

/// Work under way, with a failure and what it holds back.
fn under_way() -> DeploymentStatus {
    let mut rows: Vec<Value> =
        (1..=3).map(|it| row(&format!("etcd-member@prod-c-{it}"), "active", json!({}))).collect();
    rows.extend((1..=9).map(|it| row(&format!("kubelet@prod-w-{it}"), "active", json!({}))));
    rows.push(row(
        "kubelet@prod-w-10",
        "running",
        json!({"progress": {"phase": "apply", "percent": 40, "text": "pulling"}}),
    ));
    rows.push(row("kubelet@prod-w-11", "running", json!({})));
    let why = "attempt 3 failed: verify, exit code 1, node not Ready";
    rows.push(row("kubelet@prod-w-12", "failed", json!({"why": why, "who": "you", "attempts": 3})));
    rows.push(row("kubelet@prod-w-13", "queued", json!({"since": null, "attempts": 0, "why": "lock apt is held"})));
    rows.push(row(
        "smoke@prod",
        "blocked",
        json!({"since": null, "attempts": 0, "why": "kubelet@prod-w-12 has failed"}),
    ));
    status_of(rows, json!({"needs_person": true}))
}

fn all_active() -> DeploymentStatus {
    let rows = (1..=3).map(|it| row(&format!("kubelet@prod-w-{it}"), "active", json!({}))).collect();
    status_of(rows, json!({"active": true, "settled": true}))
}

fn step(role: &str, node: Option<&str>, action: &str, differences: Value) -> Value {
    let target = node.unwrap_or("prod");
    let id = node.map_or_else(|| format!("prod/{role}"), |it| format!("prod/{role}@{it}"));
    json!({
        "id": id, "address": format!("{role}@{target}"), "role": role, "node": node, "group": null, "ordinal": 0, "depth": 0,
        "action": action, "destructive": role == "os-install", "undoes": action == "retire", "why": ["something upstream runs"],
        "differences": differences, "requires": []
    })
}

fn plan_of(steps: Vec<Value>, destructive: &[&str]) -> PlanView {
    let mut counts = BTreeMap::<String, usize>::new();
    for step in &steps {
        *counts.entry(step["action"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let changes = counts.keys().any(|it| it != "keep" && it != "maybe");
    record(json!({
        "id": DIGEST, "deployment": "prod", "base": 3,
        "workload": {"reference": "kubernetes@1.4.0", "digest": DIGEST},
        "spec": {"workload": DIGEST, "groups": {}, "profiles": []}, "leaders": {}, "counts": counts,
        "changes": changes, "rewishes": false, "destructive": destructive, "protected": [], "steps": steps
    }))
}

#[test]
fn a_plan_says_what_and_why() {
    let version = json!([
        {"what": "input k8s_version", "before": "v1.33.6", "after": "v1.34.2", "origin": "deployment/prod"}
    ]);
    let secret = json!([
        {"what": "input token", "before": {"secret": true, "fingerprint": "12ab"}, "after": {"$secret": "x"}, "origin": "known after ca.token"}
    ]);
    let mut steps = vec![step("cluster-ca", None, "create", json!([]))];
    steps.extend((1..=12).map(|it| step("kubelet", Some(&format!("prod-w-{it}")), "change", version.clone())));
    steps.push(step("control-plane", Some("prod-c-1"), "change", version));
    steps.push(step("control-plane", Some("prod-c-2"), "change", secret));
    steps.push(step("conformance-smoke", None, "maybe", json!([])));
    steps.push(step("os-install", Some("prod-w-13"), "create", json!([])));
    steps.push(step("node-dns", Some("prod-w-99"), "retire", json!([])));
    steps.extend((1..=29).map(|it| step("base-os", Some(&format!("prod-w-{it}")), "keep", json!([]))));
    let view = PlanView { protected: vec!["control-plane".parse().unwrap()], ..plan_of(steps, &["os-install"]) };
    picture("plan", |look| plan::render(&view, "", look));
    insta::assert_snapshot!("plan_colour", plan::render(&view, "", &Look { colour: true, ..Look::plain(120) }));
}

#[test]
fn a_plan_without_changes_says_so() {
    let view = plan_of(vec![step("base-os", Some("n1"), "keep", json!([]))], &[]);
    picture("plan_nothing", |look| plan::render(&view, "", look));
    let view = PlanView { rewishes: true, ..view };
    picture("plan_towards", |look| plan::render(&view, " --revision 2", look));
}

#[test]
fn breakers_say_what_they_bear_and_why_they_are_open() {
    let closed = json!({
        "deployment": "demo", "state": "closed", "since": null, "by": null, "why": null, "evidence": null, "probe": null,
        "in_a_row": 0, "consecutive": null, "failed": [], "max_failed": null
    });
    let open = json!({
        "deployment": "prod", "state": "open", "since": "2026-11-21T12:01:00Z", "by": "engine",
        "why": "attempts failed on 3 nodes, and 2 may fail; the last is attempt a-41", "evidence": null, "probe": null,
        "in_a_row": 1, "consecutive": 3, "failed": ["w2", "w3", "w7"], "max_failed": 2
    });
    let half = json!({
        "deployment": "stage", "state": "half-open", "since": "2026-11-21T12:07:00Z", "by": "ana", "why": null, "evidence": null,
        "probe": "stage/kubelet@w1", "in_a_row": 0, "consecutive": 3, "failed": [], "max_failed": null
    });
    let breakers: Vec<BreakerView> = record(json!([closed, open, half]));
    picture("breakers", |look| breaker::list(&breakers, now(), look).render());
    picture("breaker_open", |look| breaker::show(&breakers[1], now(), look));
    picture("breaker_half_open", |look| breaker::show(&breakers[2], now(), look));
}

#[test]
fn revisions_are_listed_and_compared() {
    let revision = |no: u64, by: &str, at: &str, restores: Option<u64>| {
        let touched = json!([{"id": "prod/kubelet@n1", "action": "change"}]);
        json!({
            "no": no, "by": by, "at": at, "plan": DIGEST, "restores": restores, "touched": touched,
            "workload": {"reference": "kubernetes@1.4.0", "digest": DIGEST}, "parameters": {}, "current": no == 3,
            "spec": {"workload": DIGEST, "groups": {}, "profiles": []}
        })
    };
    let revisions: Vec<RevisionView> = record(json!([
        revision(3, "ana", "2026-11-21T12:01:00Z", Some(1)),
        revision(2, "ben", "2026-11-20T12:00:00Z", None),
        revision(1, "ana", "2026-10-01T12:00:00Z", None),
    ]));
    picture("history", |look| deployment::history(&revisions, now(), look).render());
    let reference = |version: &str| json!({"reference": format!("kubernetes@{version}"), "digest": DIGEST});
    let diff: RevisionDiff = record(json!({
        "from": 1, "to": 2, "workload": {"before": reference("1.3.0"), "after": reference("1.4.0")},
        "groups": {
            "worker": {"added": ["w4", "w5", "w6"], "removed": ["w1"], "reordered": false},
            "control-plane": {"added": [], "removed": [], "reordered": true}
        },
        "profiles": {"before": [], "after": ["dublin"]},
        "parameters": {
            "k8s_version": {"before": "v1.33.6", "after": "v1.34.2"},
            "token": {"before": {"secret": true, "fingerprint": "12ab34cd"}, "after": {"secret": true, "fingerprint": "56ef7890"}},
            "zones": {"before": null, "after": ["a", "b"]}
        }
    }));
    picture("diff", |look| deployment::diff(&diff, look));
    let same =
        RevisionDiff { workload: None, groups: BTreeMap::new(), profiles: None, parameters: BTreeMap::new(), ..diff };
    picture("diff_nothing", |look| deployment::diff(&same, look));
}

#[test]
fn a_status_shows_what_is_not_active() {
    let view = under_way();
    picture("status", |look| status::render(&view, look));
    insta::assert_snapshot!("status_wide", status::render(&view, &Look { detail: Detail::Wide, ..Look::plain(120) }));
    picture("status_active", |look| status::render(&all_active(), look));
}

#[test]
fn the_live_view_keeps_failures_on_the_screen() {
    let view = under_way();
    picture("bars", |look| {
        let frame = bars::Frame {
            status: &view,
            seconds: 461,
            age: 3,
            silent: None,
            news: Some("kubelet@prod-w-9 is active"),
            rehearsed: false,
        };
        bars::render(&frame, look, 50).join("\n")
    });
    let frame = bars::Frame { status: &view, seconds: 461, age: 0, silent: Some(12), news: None, rehearsed: false };
    insta::assert_snapshot!("bars_silent", bars::render(&frame, &Look::plain(80), 50).join("\n"));
}

#[test]
fn roles_of_low_importance_are_folded_while_nothing_is_wrong() {
    let low = |address: &str, standing: &str| {
        row(
            address,
            standing,
            json!({"importance": "low", "why": (standing == "active").then_some("etcd@c-1 is run again")}),
        )
    };
    let mut rows = vec![row("etcd@c-1", "running", json!({})), row("etcd@c-2", "active", json!({}))];
    rows.extend(["etcd-cert@c-1", "etcd-cert@c-2", "api-cert@c-1"].map(|it| low(it, "active")));
    let quiet = status_of(rows.clone(), json!({}));
    picture("status_folded", |look| status::render(&quiet, look));
    let bars = |status: &DeploymentStatus, look: &Look| {
        let frame = bars::Frame { status, seconds: 60, age: 0, silent: None, news: None, rehearsed: false };
        bars::render(&frame, look, 50).join("\n")
    };
    picture("bars_folded", |look| bars(&quiet, look));
    let wide = Look { detail: Detail::Wide, ..Look::plain(120) };
    assert!(status::render(&quiet, &wide).contains("etcd-cert  2/2"));

    // Whatever is not done is seen, and one role alone keeps its line.
    for standing in ["failed", "blocked", "running", "waiting", "queued", "held", "stale", "undoing"] {
        let mut rows = rows.clone();
        rows.push(low("api-cert@c-2", standing));
        let view = status_of(rows, json!({}));
        let look = Look::plain(120);
        for text in [status::render(&view, &look), bars(&view, &look)] {
            assert!(text.contains("api-cert") && text.contains("etcd-cert") && !text.contains("importance"), "{text}");
        }
        assert!(status::render(&view, &look).contains("api-cert@c-2"), "{standing}");
    }
}

#[test]
fn many_roles_share_a_row() {
    let rows = (0..30).map(|it| row(&format!("role-{it}@n1"), if it < 5 { "active" } else { "waiting" }, json!({})));
    let view = status_of(rows.chain([row("kubelet@n1", "waiting", json!({}))]).collect(), json!({}));
    let lines = bars::render(
        &bars::Frame { status: &view, seconds: 0, age: 0, silent: None, news: None, rehearsed: false },
        &Look::plain(80),
        50,
    );
    assert!(lines[3].trim_start().starts_with("kubelet"), "milestones come first: {}", lines[3]);
    assert!(lines.iter().any(|it| it.contains("16 other roles")), "{}", lines.join("\n"));
}

#[test]
fn a_summary_has_five_lines() {
    let done = all_active();
    let slowest = Some(("kubelet@prod-w-2".to_owned(), 72));
    picture("summary_active", |look| {
        let it = summary::Summary {
            status: Some(&done),
            name: "prod",
            seconds: 112,
            slowest: slowest.clone(),
            person: None,
        };
        let text = summary::render(&it, look);
        assert_eq!(text.lines().count(), 5);
        text
    });
    let failed = under_way();
    picture("summary_failed", |look| {
        let person = Some("kubelet@prod-w-12: node not Ready".to_owned());
        summary::render(
            &summary::Summary { status: Some(&failed), name: "prod", seconds: 461, slowest: None, person },
            look,
        )
    });
    let gone = summary::Summary { status: None, name: "prod", seconds: 3, slowest: None, person: None };
    insta::assert_snapshot!("summary_gone", summary::render(&gone, &Look::plain(80)));
}

#[test]
fn an_explanation_names_cause_and_cure() {
    let view: ExplainView = record(json!({
        "subject": "prod", "headline": "prod: 12 of 17 active, 1 failed, 1 blocked", "standing": null, "who": "you", "more": 2,
        "causes": [{
            "kind": "failed", "text": "kubelet@prod-w-12: attempt 3 failed: verify, exit code 1", "standing": "failed",
            "who": "you", "node_roles": ["prod/kubelet@prod-w-12"], "count": 1,
            "holds_back": ["prod/smoke"], "holds_back_count": 1, "since": "2026-11-21T11:53:41Z", "attempt": 7,
            "log": ["12:07:03 kubelet: failed to run Kubelet", "cgroup driver: \"cgroupfs\""],
            "next": ["rebar logs kubelet@prod-w-12", "rebar retry kubelet@prod-w-12"]
        }, {
            "kind": "node-away", "text": "the agent of prod-w-14 is away", "standing": "blocked", "who": "you",
            "node_roles": (1..=9).map(|it| format!("prod/role-{it}@prod-w-14")).collect::<Vec<_>>(), "count": 12,
            "holds_back": [], "holds_back_count": 0, "since": null, "attempt": null, "log": [],
            "next": ["rebar node show prod-w-14"]
        }]
    }));
    picture("explain", |look| explain::render(&view, now(), look));
}

#[test]
fn an_origin_shows_every_hop() {
    let view: ValueOrigin = record(json!({
        "id": "prod/docker-engine@n1", "input": "apt_mirror", "value": "http://mirror.old", "origin": "profile rack-b7",
        "layers": [
            {"level": "workload default docker@2.0.0", "value": "https://download.docker.com", "by": null, "at": null, "wins": false},
            {"level": "profile rack-b7", "value": "http://mirror.old", "by": "cron", "at": "2025-11-02T08:00:00Z", "wins": true},
            {"level": "node n1", "value": null, "by": null, "at": null, "wins": false}
        ],
        "producers": [{
            "id": "prod/ca@n1", "output": "pem", "value": {"secret": true, "fingerprint": "a956fa12"}, "attempt": 3,
            "inputs": [{"id": "prod/ca@n1", "input": "name", "value": "prod", "origin": "deployment prod", "layers": [], "producers": []}]
        }]
    }));
    picture("origin", |look| origin::render(&view, look));
}

#[test]
fn errors_of_the_engine_and_of_the_client_look_the_same() {
    let problem = Problem {
        status: 422,
        code: "RB2004".to_owned(),
        detail: "the plan has 25 mistakes".to_owned(),
        errors: (1..=25)
            .map(|it| rebar_api::types::ProblemItem {
                code: "RB3003".to_owned(),
                message: format!("group `worker` names node `n{it}`, which is not there"),
                severity: "error".to_owned(),
                file: (it == 1).then(|| "workload.yaml".to_owned()),
                line: (it == 1).then_some(14),
                ..Default::default()
            })
            .collect(),
        hint: Some("rebar node ls".to_owned()),
        ..Problem::default()
    };
    let refused = Failure::from(problem);
    picture("error_items", |look| failure::render(&refused, look));
    let away =
        Failure::new(crate::failure::Trouble::Unreachable, "https://x:8092 cannot be reached").fix("is it running?");
    picture("error_client", |look| failure::render(&away, look));
}

#[test]
fn lists_look_like_this() {
    let nodes: Vec<NodeView> = record(json!([
        {
            "node": {
                "name": "n1", "provider": "docker", "machine": "rebar-n1", "labels": {"rack": "b2", "gpu": ""}, "profiles": ["metal"],
                "mode": {"state": "maintenance", "reason": "new disk"}, "facts": null,
                "connection": {"state": "here", "since": "2026-11-21T10:00:00Z"}, "added_at": "2026-11-20T10:00:00Z"
            },
            "standing": "maintenance", "address": "172.30.0.2", "deployments": ["prod"], "running": 1
        },
        {
            "node": {
                "name": "n2", "provider": "join", "machine": null, "labels": {}, "profiles": [], "mode": {"state": "ready"},
                "facts": null, "connection": {"state": "never"}, "added_at": "2026-11-21T12:00:00Z"
            },
            "standing": "expected", "address": null, "deployments": [], "running": 0
        }
    ]));
    picture("nodes", |look| node::list(&nodes, now(), look).render());
    picture("node", |look| node::show(&nodes[0], now(), look));
    let deployments: Vec<DeploymentSummary> = record(json!([{
        "name": "prod", "workload": {"reference": "kubernetes@1.4.0", "digest": DIGEST}, "revision": 4, "mode": "converging",
        "paused": "lunch", "counts": {"active": 12, "held": 3}, "active": false, "settled": true, "needs_person": true,
        "rebuilds": 2, "created_at": "2026-11-19T12:00:00Z"
    }]));
    picture("deployments", |look| deployment::list(&deployments, now(), look).render());
    let outputs: Vec<OutputView> = record(json!([
        {"name": "api_url", "value": "https://api.prod:6443", "secret": false, "description": null, "origin": "output url of role api"},
        {"name": "ca", "value": "-----BEGIN-----\nAAAA\n-----END-----\n", "secret": false, "description": null, "origin": "output pem of role ca"},
        {"name": "kubeconfig", "value": {"secret": true, "fingerprint": "12ab"}, "secret": true, "description": null, "origin": "x"},
        {"name": "later", "value": null, "secret": false, "description": null, "origin": "y"}
    ]));
    picture("outputs", |look| deployment::outputs(&outputs, look));
    let happened: EventView = record(json!({
        "seq": 31, "at": "2026-11-21T12:07:41Z", "by": "engine", "kind": "node-role-moved", "deployment": "prod",
        "subject": "prod/kubelet@n1", "summary": "prod/kubelet@n1 is running", "change": {}
    }));
    picture("event", |look| event::line(&happened, look));
}

#[test]
fn services_show_what_they_have() {
    let dns = json!({"listen": ["172.30.0.1:53"], "zones": [{"name": "rebar.test", "serial": 1, "records": [
        {"name": "n1.rebar.test", "record": "A", "ttl": 30, "values": ["172.30.0.2"], "owners": ["prod/node-dns@n1"]}]}]});
    picture("service_dns", |look| service::render(ServiceName::Dns, &dns, look));
    let ipam = json!({"pools": [{"pool": "10.0.0.0/30", "used": 2, "free": 0, "claims": [
        {"address": "10.0.0.1", "owner": "prod/vip"}, {"address": "10.0.0.2", "owner": "lab/vip"}]}]});
    picture("service_ipam", |look| service::render(ServiceName::Ipam, &ipam, look));
    let lb = json!({"vips": [{"owner": "prod/vip", "endpoint": "10.0.0.1:80", "open": 2, "total": 9, "refused": 0, "backends": [
        {"owner": "prod/backend@n1", "endpoint": "172.30.0.2:8080", "health": "up", "error": null, "open": 2, "total": 9}]}]});
    picture("service_lb", |look| service::render(ServiceName::Lb, &lb, look));
    let pki = json!({"authorities": [{"owner": "prod/ca", "common_name": "prod", "fingerprint": "x", "not_after": "2036-11-21T12:00:00Z", "revoked": 0}],
        "certificates": [{"owner": "prod/cert@n1", "authority": "prod/ca", "common_name": "n1", "serial": "1", "not_after": "2027-02-21T12:00:00Z"}]});
    picture("service_pki", |look| service::render(ServiceName::Pki, &pki, look));
    assert_eq!(service::names(ServiceName::Ipam, &ipam), ["10.0.0.1", "10.0.0.2"]);
    picture("service_none", |look| service::render(ServiceName::Dns, &Value::Null, look));
}

#[test]
fn a_proof_is_a_certificate() {
    let cycle = |number: u32, failure: Option<&str>| proof::Cycle {
        number,
        started_at: now(),
        wipe_seconds: 9.04,
        rebuild_seconds: 71.6,
        seconds: 80.64,
        ok: failure.is_none(),
        differing: Vec::new(),
        failure: failure.map(str::to_owned),
    };
    let of = |cycles: Vec<proof::Cycle>, ok: bool| proof::Proof {
        certificate: "pf-871b1fa5".to_owned(),
        ok,
        deployment: "prod".parse().unwrap(),
        workload: "kubernetes@1.4.0".to_owned(),
        digest: DIGEST.to_owned(),
        revision: rebar_model::RevisionNo(3),
        nodes: 3,
        node_roles: 43,
        engine: "0.1.0".to_owned(),
        asked: 2,
        cycles,
        unstable: vec!["member_id".to_owned()],
        started_at: now(),
        ended_at: now(),
    };
    // As the command prints it: each cycle when it ends, then the rest.
    let whole = |proof: &proof::Proof, look: &Look| {
        let cycles: String = proof.cycles.iter().map(|it| proof::cycle(it, look)).collect();
        cycles + &proof::render(proof, look)
    };
    picture("proof", |look| whole(&of(vec![cycle(1, None), cycle(2, None)], true), look));
    picture("proof_failed", |look| whole(&of(vec![cycle(1, Some("not active: 1 failed"))], false), look));
}

/// A rehearsal with everything that a report can have.
fn rehearsed() -> rebar_rehearsal::Report {
    use rebar_model::{Span, Standing};
    use rebar_rehearsal::{Basis, FaultReport, Link, Report, RoleReport, Step, Totals, Width};

    let step = |address: &str, begins, took, waited, link| Step {
        node_role: format!("prod/{address}").parse().unwrap(),
        begins: Span::from_secs(begins),
        took: Span::from_secs(took),
        waited: Span::from_millis(waited),
        link,
    };
    let role = |name: &str, attempts, median, basis| RoleReport {
        role: name.parse().unwrap(),
        attempts,
        median: Span::from_millis(median),
        p95: Span::from_millis(median * 3),
        total: Span::from_millis(median * attempts as u64),
        basis,
    };
    let fault = |fault: &str, happened, numbers: [usize; 4]| {
        let [nodes, attempts, recovered, open] = numbers;
        FaultReport { fault: fault.to_owned(), happened, nodes, attempts, recovered, open }
    };
    Report {
        deployment: "prod".parse().unwrap(),
        workload: "kubernetes@1.4.0".to_owned(),
        seed: 42,
        nodes: 13,
        took: Span::from_millis(572_250),
        totals: Totals {
            node_roles: 54,
            standings: [(Standing::Active, 52), (Standing::Failed, 1), (Standing::Blocked, 1)].into(),
            attempts: 61,
            failed: 7,
            recovered: 6,
            open: 2,
        },
        widest: Width { attempts: 26, at: Span::from_millis(8_500) },
        critical_path: vec![
            step("containerd@prod-c-1", 0, 61, 0, Link::Start),
            step("etcd-member@prod-c-1", 61, 20, 0, Link::Requirement),
            step("etcd-member@prod-c-2", 81, 22, 0, Link::Slot),
            step("kubelet@prod-w-7", 115, 30, 12_000, Link::Lock),
            step("kubelet@prod-w-7", 147, 425, 2_000, Link::Retry),
        ],
        roles: vec![
            role("kubelet", 19, 31_000, Basis::History { attempts: 240 }),
            role("containerd", 13, 20_000, Basis::Assumed),
            role("etcd-member", 3, 2_500, Basis::Given),
        ],
        faults: vec![
            fault("fail:kubelet=30%", true, [0, 7, 6, 1]),
            fault("engine-restart@7m", true, [13, 4, 4, 0]),
            fault("lose=1@10h", false, [0, 0, 0, 0]),
        ],
    }
}

#[test]
fn rehearsals() {
    let report = rehearsed();
    let run = rehearsal::Run::of(&report);
    let slower = rehearsal::Run { seed: 43, seconds: 700.0, ..run.clone() };
    let rehearsed = rehearsal::Picture {
        report,
        calm: Some(rehearsal::Run { seed: 42, seconds: 301.0, failed: 0, open: 0 }),
        runs: vec![run, slower],
        notes: Vec::new(),
        status: under_way(),
        explanation: None,
    };
    picture("rehearsal", |look| rehearsal::render(&rehearsed, look));
    let view = under_way();
    let frame = bars::Frame { status: &view, seconds: 461, age: 0, silent: None, news: None, rehearsed: true };
    picture("rehearsal_live", |look| bars::render(&frame, look, 24).join("\n"));
}

fn upgrade(extra: Value) -> UpgradeView {
    let mut view = json!({
        "no": 3, "version": "1.4.0", "state": "running", "held_by": null, "reason": null, "code": null, "canaries": 1,
        "max_in_flight": 10, "stable_for": "30s", "report_within": "30m", "first": ["n1"], "agents": 4, "upgraded": 1,
        "under_way": 1, "by": "ana", "started_at": "2026-11-21T12:05:00Z"
    });
    view.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    record(view)
}

fn agents(rows: [(&str, &str, Option<&str>); 4]) -> Vec<AgentView> {
    let row = |(place, (version, standing, reason)): (usize, (&str, &str, Option<&str>))| {
        record(json!({
            "node": format!("n{}", place + 1), "version": version, "here": place != 3, "standing": standing, "reason": reason,
            "code": null
        }))
    };
    rows.into_iter().enumerate().map(row).collect()
}

#[test]
fn upgrades_of_agents() {
    let rows = [
        ("1.4.0", "upgraded", None),
        ("1.4.0", "watched", None),
        ("1.3.0", "waiting", Some("others are before it")),
        ("1.3.0", "waiting", Some("it is away")),
    ];
    picture("agents", |look| agent::status(Some(&upgrade(json!({}))), &agents(rows), now(), look));
    let reason = "the agent is back on the release before: it ended: exit status: 7";
    let held = upgrade(json!({
        "state": "held", "held_by": "n1", "reason": reason, "code": "RB4506", "upgraded": 0, "under_way": 0
    }));
    let rows =
        [("1.3.0", "failed", Some(reason)), ("1.3.0", "idle", None), ("1.3.0", "idle", None), ("1.3.0", "idle", None)];
    let line = agent::line(&held, &Look::plain(80));
    assert_eq!(line, "\nupgrade of the agents to 1.4.0: held by n1: rebar agent status");
    picture("agents_held", |look| agent::status(Some(&held), &agents(rows), now(), look));
    let build = json!({
        "platform": "linux/amd64", "size": 7_412_345, "sha256": "ab".repeat(32), "key": "cd".repeat(32),
        "imported_at": "2026-11-21T12:00:00Z"
    });
    let releases: Vec<AgentReleaseView> = record(json!([{"version": "1.4.0", "builds": [build]}]));
    picture("agent_releases", |look| agent::releases(&releases, look).render());
}
