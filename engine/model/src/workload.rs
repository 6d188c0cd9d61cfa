//! The definition of a workload as its author writes it in `workload.yaml`, and the imported [`Workload`]: the same together
//! with its roles, addressed by content. Files of a package are kept by the store, not here.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Digest, GroupName, Ident, OnChange, RoleManifest, RoleName, Rollout, Source, WorkloadName};

/// The document `workload.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "Rebar workload")]
pub struct WorkloadManifest {
    /// Always `rebar.dev/v1`.
    pub api_version: String,
    /// Always `Workload`.
    pub kind: String,
    /// Name, version, licence.
    pub metadata: WorkloadMetadata,
    /// Parameters, groups, topologies.
    pub spec: WorkloadSpec,
}

/// What people read about a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadMetadata {
    /// The name.
    pub name: WorkloadName,
    /// The version (Semantic Versioning 2.0.0).
    #[schemars(with = "String")]
    pub version: semver::Version,
    /// A longer name for titles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does, in one line.
    #[schemars(length(max = 120))]
    pub summary: String,
    /// The licence, as an SPDX expression.
    pub license: String,
    /// Where it is at home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Who keeps it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintainers: Vec<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// An image of the package, for screens that have room for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
}

/// Parameters, groups, topologies and outputs of a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadSpec {
    /// The versions of Rebar that can deploy it, as a semver requirement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The workloads whose roles and parameters it takes over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<Used>,
    /// The parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<Ident, ParameterSpec>,
    /// What a deployment offers to people and to other deployments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<Ident, WorkloadOutput>,
    /// The groups of nodes.
    pub groups: BTreeMap<GroupName, GroupSpec>,
    /// Named shapes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub topologies: BTreeMap<String, Topology>,
    /// How changes are brought to its nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// How screens lay out its parameters; those that no section names come last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub form: Vec<FormSection>,
}

/// Another workload whose roles and parameters are taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Used {
    /// Its name.
    pub workload: WorkloadName,
    /// Which of its versions, as a semver requirement; the highest that is imported is taken.
    #[schemars(with = "String")]
    pub version: semver::VersionReq,
}

/// A section of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FormSection {
    /// Its heading.
    pub section: String,
    /// The parameters, in their order.
    pub fields: Vec<Ident>,
    /// Whether it is folded away at first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advanced: bool,
}

/// A parameter of a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParameterSpec {
    /// The JSON Schema (2020-12) of its value.
    pub schema: Value,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where its value comes from when no level sets it: the site, or a secret of the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Source>,
    /// Its value when nothing else gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether the value is a secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// What a changed value asks for, where the input does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_change: Option<OnChange>,
    /// Example values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Value>,
}

impl ParameterSpec {
    /// Whether its value is a secret: it says so, or its source is one.
    pub fn is_secret(&self) -> bool {
        self.secret || matches!(self.from, Some(Source::Secret(_)))
    }
}

/// What a deployment offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadOutput {
    /// Where the value comes from.
    pub from: Source,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the value is a secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// A group of nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupSpec {
    /// What its nodes are for.
    pub summary: String,
    /// The fewest nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// The most nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Whether their number has to be odd.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub odd: bool,
    /// The roles of each node, beside those that bind themselves to the group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<RoleName>,
    /// Which nodes qualify: a CEL expression over `node`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// The label whose values its nodes are spread over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<String>,
}

/// A named shape of a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Topology {
    /// What it is good for.
    pub summary: String,
    /// How many nodes each group gets.
    pub groups: BTreeMap<GroupName, u32>,
    /// Parameter values that go with it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<Ident, Value>,
}

/// An imported workload: immutable, addressed by content; several versions live side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// The digest of the whole package.
    pub digest: Digest,
    /// Name, version, licence.
    pub metadata: WorkloadMetadata,
    /// Parameters, groups, topologies. The parameters of the workloads that it uses are among its own.
    pub spec: WorkloadSpec,
    /// Its roles, those of the workloads that it uses among them.
    pub roles: BTreeMap<RoleName, Arc<RoleDefinition>>,
    /// What its `uses` came to when it was imported. It stays so, whatever is imported later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<Taken>,
}

/// A workload version whose roles and parameters another took over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Its name.
    pub workload: WorkloadName,
    /// Its version.
    pub version: semver::Version,
    /// Its digest.
    pub digest: Digest,
}

impl Taken {
    /// `name@version`, as people type it.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.workload, self.version)
    }
}

/// A role of an imported workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleDefinition {
    /// The document.
    pub manifest: RoleManifest,
    /// The digest of the role's directory as a tar archive: what agents fetch, and part of a node-role's key.
    pub content: Digest,
}

impl Workload {
    /// `name@version`, as people type it.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.metadata.name, self.metadata.version)
    }
}
