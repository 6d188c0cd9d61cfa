//! Scenarios of packages, and what is asked of what came of them.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use rebar_manifest::{File, Package};
use rebar_model::{GroupName, NodeName, ParameterScope, Span, Standing, Workload};
use rebar_orchestrator::Handle;
use rebar_rehearsal::{Durations, Rehearsal, Report, Scenario, Setting, SimulatedNode, facts};
use serde_json::{Value, json};

/// The Swarm of the catalog.
pub fn swarm() -> Arc<Workload> {
    workload(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workloads/catalog/docker-swarm"))
}

fn workload(directory: &Path) -> Arc<Workload> {
    let mut package = Package::default();
    let mut folders = vec![(directory.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push((entry.path(), path + "/"));
            } else if !Package::excludes(&path) {
                package.insert(&path, File { bytes: fs::read(entry.path()).unwrap(), executable: true }).unwrap();
            }
        }
    }
    Arc::new(rebar_manifest::read(&package, &[]).unwrap().workload)
}

/// A workload of scripts in a chain on the nodes of one group, changed as a test needs it.
pub fn chain(roles: &[&str], change: impl Fn(&str, &mut Value)) -> Arc<Workload> {
    let mut definitions = BTreeMap::new();
    for (place, name) in roles.iter().enumerate() {
        let mut spec = json!({
            "scope": "node", "bind": {"groups": ["all"]}, "runner": {"type": "script"},
            "outputs": {"out": {"schema": {"type": "string"}}},
            "phases": {"check": {"run": "check.sh"}, "apply": {"run": "apply.sh"}, "verify": {"run": "verify.sh"}},
        });
        if place > 0 {
            spec["requires"] = json!([{"role": roles[place - 1]}]);
        }
        change(name, &mut spec);
        let manifest = json!({
            "apiVersion": "rebar.dev/v1", "kind": "Role", "metadata": {"name": name, "summary": "x"}, "spec": spec,
        });
        definitions.insert((*name).to_owned(), json!({"manifest": manifest, "content": "0".repeat(64)}));
    }
    let workload = json!({
        "digest": "0".repeat(64), "roles": definitions,
        "metadata": {"name": "chain", "version": "1.0.0", "summary": "x", "license": "Apache-2.0"},
        "spec": {"groups": {"all": {"summary": "x"}}},
    });
    Arc::new(serde_json::from_value(workload).unwrap())
}

/// A scenario of a workload with so many nodes in each group.
pub fn scenario(workload: &Arc<Workload>, sizes: &[(&str, usize)], faults: &[&str]) -> Scenario {
    let mut nodes = Vec::new();
    let mut groups: BTreeMap<GroupName, Vec<NodeName>> = BTreeMap::new();
    for (group, size) in sizes {
        for place in 1..=*size {
            let name: NodeName = format!("{group}-{place}").parse().unwrap();
            groups.entry(group.parse().unwrap()).or_default().push(name.clone());
            let facts = facts(&name, nodes.len(), "debian", "amd64");
            nodes.push(SimulatedNode { name, labels: BTreeMap::new(), profiles: Vec::new(), facts });
        }
    }
    let deployment: rebar_model::DeploymentName = "demo".parse().unwrap();
    let pool = Setting {
        scope: ParameterScope::Deployment(deployment.clone()),
        name: "vip_pool".parse().unwrap(),
        value: Some(json!("10.86.240.0/24")),
        secret: false,
    };
    let wants_pool = workload.spec.inputs.keys().any(|it| *it == pool.name);
    Scenario {
        deployment,
        workload: workload.clone(),
        nodes,
        groups,
        profiles: Vec::new(),
        parameters: if wants_pool { vec![pool] } else { Vec::new() },
        outputs: BTreeMap::new(),
        durations: Durations::default(),
        faults: faults.iter().map(|it| it.parse().unwrap()).collect(),
        seed: 7,
        silence: Span::from_secs(15),
        patience: Span::from_secs(60),
    }
}

/// Runs a scenario; what came of it, and the engine to look at.
pub async fn rehearse(scenario: Scenario) -> (Report, Handle, Rehearsal) {
    let mut rehearsal = Rehearsal::prepare(scenario).await.unwrap();
    rehearsal.accept().await.unwrap();
    rehearsal.go().notify_one();
    let report = rehearsal.report().await.unwrap();
    let handle = rehearsal.door().borrow().clone().unwrap();
    (report, handle, rehearsal)
}

/// How many node-roles stand somewhere.
pub fn count(report: &Report, standing: Standing) -> usize {
    report.totals.standings.get(&standing).copied().unwrap_or(0)
}
