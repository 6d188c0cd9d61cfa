//! The shape of the work that is measured: workloads of roles that do nothing, in chains. Simulated agents get roles whose input is the
//! output of the one before; real agents get packages with files that they really run or write.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use rebar_manifest::{File, Package};
use rebar_model::{Digest, RoleDefinition, RoleManifest, RoleName, Workload, WorkloadManifest};
use serde_json::json;

/// How many roles a node gets, and how many of them stand in one chain.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Roles a node.
    pub roles: usize,
    /// Roles a chain.
    pub depth: usize,
}

/// What real agents run for a role.
pub const SCRIPT: &str = "#!/bin/sh\n/bin/true\n";

/// Who carries the roles out, and what that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Simulated agents, which do nothing.
    Simulated,
    /// Real agents, which run `/bin/true` in a script.
    Script,
}

/// A name that is known to be one.
pub fn name<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| anyhow!("{text}: {error}"))
}

impl Shape {
    /// The workload of this shape.
    pub fn workload(self) -> Result<Workload> {
        let manifest: WorkloadManifest = serde_json::from_value(json!({
            "apiVersion": "rebar.dev/v1", "kind": "Workload",
            "metadata": {"name": "bench", "version": "1.0.0", "summary": "work that does nothing", "license": "Apache-2.0"},
            "spec": {
                "inputs": {"size": {"schema": {"type": "integer"}, "default": 1}},
                "groups": {"all": {"summary": "all nodes"}},
            },
        }))?;
        let mut roles = BTreeMap::new();
        for at in 0..self.roles {
            let (role, definition) = self.role(at)?;
            roles.insert(role, Arc::new(definition));
        }
        let digest = Digest::of_json(&(&manifest, &roles));
        Ok(Workload { digest, metadata: manifest.metadata, spec: manifest.spec, roles, taken: Vec::new() })
    }

    /// A package of this shape, for agents that are real.
    pub fn package(self) -> Result<Package> {
        let roles: Vec<_> = (0..self.roles).map(|at| format!("r{at:03}")).collect();
        let workload = json!({
            "apiVersion": "rebar.dev/v1", "kind": "Workload",
            "metadata": {"name": "bench", "version": "1.0.0", "summary": "work that does nothing", "license": "Apache-2.0"},
            "spec": {
                "inputs": {"size": {"schema": {"type": "integer"}, "default": 1}},
                "groups": {"all": {"summary": "all nodes", "roles": roles}},
            },
        });
        let mut files = vec![("workload.yaml".to_owned(), File::text(workload.to_string()))];
        for (at, role) in roles.iter().enumerate() {
            let before = if at.is_multiple_of(self.depth) { json!([]) } else { json!([{"role": roles[at - 1]}]) };
            let manifest = json!({
                "apiVersion": "rebar.dev/v1", "kind": "Role", "metadata": {"name": role, "summary": "does nothing"},
                "spec": {
                    "scope": "node", "requires": before, "runner": {"type": "script"},
                    "inputs": {"size": {"schema": {"type": "integer"}, "from": {"deployment": "size"}}},
                    "phases": {"apply": {"run": "run.sh", "timeout": "10m"}, "undo": {"run": "run.sh", "timeout": "10m"}},
                },
            });
            files.push((format!("roles/{role}/role.yaml"), File::text(manifest.to_string())));
            files.push((format!("roles/{role}/run.sh"), File::script(SCRIPT)));
        }
        Ok(Package::from_files(files)?)
    }

    fn role(self, at: usize) -> Result<(RoleName, RoleDefinition)> {
        let role = format!("r{at:03}");
        let source = if at.is_multiple_of(self.depth) {
            json!({"deployment": "size"})
        } else {
            json!({"role": format!("r{:03}", at - 1), "output": "out"})
        };
        let manifest: RoleManifest = serde_json::from_value(json!({
            "apiVersion": "rebar.dev/v1", "kind": "Role", "metadata": {"name": role, "summary": "does nothing"},
            "spec": {
                "scope": "node", "bind": {"groups": ["all"]}, "runner": {"type": "script"},
                "inputs": {"before": {"schema": {"type": "integer"}, "from": source}},
                "outputs": {"out": {"schema": {"type": "integer"}}},
                "phases": {"apply": {"run": "apply.sh", "timeout": "10m"}, "undo": {"run": "undo.sh", "timeout": "10m"}},
            },
        }))?;
        let content = Digest::of_json(&manifest);
        Ok((name(&role)?, RoleDefinition { manifest, content }))
    }
}
