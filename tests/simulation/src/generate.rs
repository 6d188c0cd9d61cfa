//! Random workloads: roles of every scope, wired to earlier ones in every way, with locks, limits and retries. Always valid, so that
//! whatever goes wrong is the scheduler's doing.

use std::{collections::BTreeMap, sync::Arc};

use fastrand::Rng;
use rebar_model::{DeploymentName, Digest, RoleDefinition, RoleManifest, RoleName, Workload, WorkloadManifest};
use serde_json::{Map, Value, json};

/// The parameters that every generated workload has.
pub const PARAMETERS: [&str; 3] = ["p0", "p1", "p2"];

/// The one deployment of a simulation.
pub fn deployment_name() -> DeploymentName {
    parse("demo")
}

/// Parses what is known to be right.
pub(crate) fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap_or_else(|error| panic!("`{text}` is written in this file: {error:?}"))
}

#[derive(Clone, Copy, PartialEq)]
enum Scope {
    Node,
    Leader,
    Deployment,
}

/// A random workload of `roles` roles in the groups `front` and `back`; `version` changes the content of some.
pub fn workload(rng: &mut Rng, roles: usize, version: u64) -> Workload {
    let mut definitions = BTreeMap::new();
    let mut made: Vec<(String, Scope)> = Vec::new();
    for place in 0..roles {
        let name = format!("role-{place}");
        let scope = match rng.u8(..10) {
            0..7 => Scope::Node,
            7..9 => Scope::Leader,
            _ => Scope::Deployment,
        };
        let changed = rng.u8(..3) == 0;
        let manifest = role(rng, &name, scope, &made);
        let content = Digest::of_json(&(&manifest, if changed { version } else { 0 }));
        let manifest: RoleManifest =
            serde_json::from_value(manifest).unwrap_or_else(|error| panic!("generated role is wrong: {error}"));
        definitions.insert(parse::<RoleName>(&name), Arc::new(RoleDefinition { manifest, content }));
        made.push((name, scope));
    }
    let inputs: Map<String, Value> =
        PARAMETERS.iter().map(|it| ((*it).to_owned(), json!({"schema": {"type": "integer"}, "default": 0}))).collect();
    let manifest = json!({
        "apiVersion": "rebar.dev/v1", "kind": "Workload",
        "metadata": {"name": "random", "version": format!("1.0.{version}"), "summary": "random", "license": "Apache-2.0"},
        "spec": {"inputs": inputs, "groups": {"front": {"summary": "front"}, "back": {"summary": "back"}}},
    });
    let manifest: WorkloadManifest =
        serde_json::from_value(manifest).unwrap_or_else(|error| panic!("generated workload is wrong: {error}"));
    let digest = Digest::of_json(&(&manifest, &definitions));
    Workload { digest, metadata: manifest.metadata, spec: manifest.spec, roles: definitions }
}

fn role(rng: &mut Rng, name: &str, scope: Scope, made: &[(String, Scope)]) -> Value {
    let mut inputs = Map::new();
    inputs.insert(
        "p".to_owned(),
        json!({"schema": {"type": "integer"}, "from": {"deployment": rng.choice(PARAMETERS)}, "onChange": on_change(rng)}),
    );
    let mut requires = Vec::new();
    for place in 0..rng.usize(..4).min(made.len()) {
        let Some((other, other_scope)) = rng.choice(made) else { continue };
        let take = take(rng, scope, *other_scope);
        if rng.bool() && *other_scope != Scope::Deployment {
            let from = json!({"role": other, "output": "out", "take": take});
            inputs.insert(format!("i{place}"), json!({"schema": {}, "from": from, "default": 0}));
        } else {
            let take = if take == "byNode" { "all" } else { take };
            requires.push(json!({"role": other, "take": take, "optional": true}));
        }
    }
    let groups = match rng.u8(..3) {
        0 => json!(["front"]),
        1 => json!(["back"]),
        _ => json!(["front", "back"]),
    };
    let mut spec = json!({
        "scope": match scope { Scope::Node => "node", Scope::Leader => "leader", Scope::Deployment => "deployment" },
        "requires": requires, "inputs": inputs,
        "runner": if scope == Scope::Deployment { json!({"type": "noop"}) } else { json!({"type": "script"}) },
    });
    if scope != Scope::Deployment {
        spec["bind"] = json!({"groups": groups});
        spec["outputs"] = json!({"out": {"schema": {"type": "integer"}}});
        spec["phases"] = phases(rng);
        spec["barrier"] = json!(rng.u8(..6) == 0);
        if rng.u8(..3) == 0 {
            spec["concurrency"] = json!({"lock": "apt"});
        } else if rng.u8(..5) == 0 {
            spec["concurrency"] = json!({"perDeployment": 1});
        }
    }
    json!({"apiVersion": "rebar.dev/v1", "kind": "Role", "metadata": {"name": name, "summary": "random"}, "spec": spec})
}

fn on_change(rng: &mut Rng) -> &'static str {
    rng.choice(["apply", "apply", "redeploy", "ignore"]).unwrap_or("apply")
}

fn take(rng: &mut Rng, scope: Scope, other: Scope) -> &'static str {
    let takes: &[&str] = match (scope, other) {
        (_, Scope::Leader | Scope::Deployment) => &["leader"],
        (Scope::Node | Scope::Leader, Scope::Node) => &["self", "all", "byNode", "any", "quorum", "leader"],
        (Scope::Deployment, Scope::Node) => &["all", "byNode", "any", "quorum", "leader"],
    };
    rng.choice(takes).unwrap_or(&"leader")
}

fn phases(rng: &mut Rng) -> Value {
    let retries = json!({"max": rng.u8(..4), "initial": "1s", "reasons": ["tempfail", "agent-lost", "error"]});
    let mut phases = json!({"apply": {"run": "apply.sh", "timeout": "30s", "retries": retries}});
    if rng.u8(..4) != 0 {
        phases["undo"] = json!({"run": "undo.sh", "timeout": "30s", "retries": {"max": 3, "initial": "1s", "reasons": ["tempfail", "agent-lost", "error"]}});
    }
    if rng.bool() {
        phases["drain"] = json!({"run": "drain.sh", "timeout": "10s"});
    }
    phases
}
