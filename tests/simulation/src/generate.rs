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

/// A role that later ones may be wired to.
struct Made {
    name: String,
    scope: Scope,
    /// The output that it has; none for one that does nothing.
    output: Option<&'static str>,
}

/// A random workload of `roles` roles in the groups `front` and `back`; `version` changes the content of some.
pub fn workload(rng: &mut Rng, roles: usize, version: u64) -> Workload {
    let mut definitions = BTreeMap::new();
    let mut made: Vec<Made> = Vec::new();
    for place in 0..roles {
        let name = format!("role-{place}");
        let scope = match rng.u8(..10) {
            0..7 => Scope::Node,
            7..9 => Scope::Leader,
            _ => Scope::Deployment,
        };
        let changed = rng.u8(..3) == 0;
        let output = match scope {
            Scope::Node if rng.u8(..6) == 0 => Some("address"),
            Scope::Node | Scope::Leader => Some("out"),
            Scope::Deployment => rng.bool().then_some("address"),
        };
        let manifest = role(rng, &name, scope, output, &made);
        let content = Digest::of_json(&(&manifest, if changed { version } else { 0 }));
        let manifest: RoleManifest =
            serde_json::from_value(manifest).unwrap_or_else(|error| panic!("generated role is wrong: {error}"));
        definitions.insert(parse::<RoleName>(&name), Arc::new(RoleDefinition { manifest, content }));
        made.push(Made { name, scope, output });
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
    Workload { digest, metadata: manifest.metadata, spec: manifest.spec, roles: definitions, taken: Vec::new() }
}

fn role(rng: &mut Rng, name: &str, scope: Scope, output: Option<&str>, made: &[Made]) -> Value {
    let mut inputs = Map::new();
    inputs.insert(
        "p".to_owned(),
        json!({"schema": {"type": "integer"}, "from": {"deployment": rng.choice(PARAMETERS)}, "onChange": on_change(rng)}),
    );
    let mut requires = Vec::new();
    for place in 0..rng.usize(..4).min(made.len()) {
        let Some(other) = rng.choice(made) else { continue };
        let take = take(rng, scope, other.scope);
        if let (true, Some(output)) = (rng.bool(), other.output) {
            let from = json!({"role": other.name, "output": output, "take": take});
            let on_change = on_change(rng);
            inputs
                .insert(format!("i{place}"), json!({"schema": {}, "from": from, "default": 0, "onChange": on_change}));
        } else {
            let take = if take == "byNode" { "all" } else { take };
            requires.push(json!({"role": other.name, "take": take, "optional": true}));
        }
    }
    let mut spec = json!({
        "scope": match scope { Scope::Node => "node", Scope::Leader => "leader", Scope::Deployment => "deployment" },
        "requires": requires, "inputs": inputs, "protect": rng.u8(..4) == 0,
    });
    match output {
        Some("out") => script(rng, &mut spec),
        Some(_) => service(&mut spec),
        None => spec["runner"] = json!({"type": "noop"}),
    }
    if scope != Scope::Deployment {
        spec["bind"] = json!({"groups": groups(rng)});
        spec["barrier"] = json!(rng.u8(..6) == 0);
    }
    json!({"apiVersion": "rebar.dev/v1", "kind": "Role", "metadata": {"name": name, "summary": "random"}, "spec": spec})
}

fn groups(rng: &mut Rng) -> Value {
    match rng.u8(..3) {
        0 => json!(["front"]),
        1 => json!(["back"]),
        _ => json!(["front", "back"]),
    }
}

/// A role that an agent runs.
fn script(rng: &mut Rng, spec: &mut Value) {
    spec["runner"] = json!({"type": "script"});
    let secret = rng.u8(..5) == 0;
    let kind = if secret { "string" } else { "integer" };
    spec["outputs"] = json!({"out": {"schema": {"type": kind}, "secret": secret}});
    spec["phases"] = phases(rng);
    if rng.u8(..3) == 0 {
        spec["concurrency"] = json!({"lock": "apt"});
    } else if rng.u8(..5) == 0 {
        spec["concurrency"] = json!({"perDeployment": 1});
    }
}

/// A role whose resource a service makes.
fn service(spec: &mut Value) {
    spec["runner"] = json!({"type": "builtin", "action": "ipam.address"});
    spec["runsOn"] = json!("engine");
    spec["inputs"]["pool"] = json!({"schema": {"type": "string"}, "default": "10.0.0.0/8"});
    spec["outputs"] = json!({"address": {"schema": {"type": "string"}}});
    spec["phases"] = json!({"apply": {"run": "-", "retries": {"max": 3, "reasons": ["error", "timeout"]}}});
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
