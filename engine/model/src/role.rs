//! The definition of a role as its author writes it in `role.yaml`: signature and phases. Its runner is `runner.rs`, its
//! rollout `rollout.rs`; what the planner makes of it lives in `node_role.rs`; positions, linting and packing in `rebar-manifest`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CapabilityName, GroupName, Ident, LockName, RoleName, Rollout, Runner, Source, Span, Take};

/// The document `role.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "Rebar role")]
pub struct RoleManifest {
    /// Always `rebar.dev/v1`.
    pub api_version: String,
    /// Always `Role`.
    pub kind: String,
    /// Name and summary.
    pub metadata: Metadata,
    /// Signature, runner and phases.
    pub spec: RoleSpec,
}

/// What people read about a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The name; the directory of the role has the same.
    pub name: RoleName,
    /// A longer name for titles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does, in one line.
    #[schemars(length(max = 120))]
    pub summary: String,
    /// An image of the role's directory, for screens that have room for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Whether people want to see it among all the others.
    #[serde(default, skip_serializing_if = "is_default")]
    pub importance: Importance,
    /// Free labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Whether people want to see a role among all the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Importance {
    /// It has a line of its own.
    #[default]
    Normal,
    /// It is folded away while nothing is wrong with it.
    Low,
}

/// Signature, runner and phases of a role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "keys of the format, each of which says something of its own")]
pub struct RoleSpec {
    /// How often it runs, and where.
    pub scope: Scope,
    /// Who runs it; by default the agent, and the engine for `builtin` runners and the scope `deployment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_on: Option<crate::RunsOn>,
    /// No dependant starts until every instance in the deployment is active.
    #[serde(default, skip_serializing_if = "is_false")]
    pub barrier: bool,
    /// Shown as a phase boundary in progress displays.
    #[serde(default, skip_serializing_if = "is_false")]
    pub milestone: bool,
    /// Where it lands, beside the roles that the groups of the workload list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<Bind>,
    /// Hard order without data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Require>,
    /// Soft order: when the named role is there too, this one runs before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<RoleName>,
    /// Soft order: when the named role is there too, this one runs after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<RoleName>,
    /// Capabilities that it provides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provides: Vec<CapabilityName>,
    /// Capabilities that no other role on the same node may provide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<CapabilityName>,
    /// A CEL expression over `deployment`, `params` and `node`; where it is false the role is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The machines that it is made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Platforms>,
    /// What its code sees, and nothing else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<Ident, InputSpec>,
    /// What it gives to others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<Ident, OutputSpec>,
    /// What carries it out.
    pub runner: Runner,
    /// What it can be asked to do.
    #[serde(default, skip_serializing_if = "Phases::is_empty")]
    pub phases: Phases,
    /// Wipes data: always named in a plan, never retried silently, needs a grant when applied.
    #[serde(default, skip_serializing_if = "is_false")]
    pub destructive: bool,
    /// Keeps what must not be lost: it is undone only where an operator names it with `--allow-protected`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub protect: bool,
    /// Whether its code may have the machine rebooted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reboot: RebootPolicy,
    /// What keeps it from running beside others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// How its instances are changed, where that differs from the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}

/// The machines that a role is made for. A key that is left out allows everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Platforms {
    /// Operating systems by the `ID` of os-release(5): `debian`, `ubuntu`, `rocky`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub os: Vec<String>,
    /// Processor architectures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub arch: Vec<Arch>,
    /// What process 1 is: `systemd`, `init`, or `runsvdir` on a light node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub init: Vec<String>,
}

/// A processor architecture, as Debian names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Arch {
    /// Its name among the facts of a node.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// Whether a role's code may have the machine rebooted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RebootPolicy {
    /// Asking for it is a failure.
    #[default]
    Never,
    /// When a phase asks for it.
    Allowed,
    /// After every `apply`, whether it asks or not.
    Always,
}

/// How often a role runs, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// Once a bound node.
    Node,
    /// Once, on an elected node: the lowest ordinal of the first group that has the role. The election stays.
    Leader,
    /// Once, without a node.
    Deployment,
    /// Once, as a stand-in for something outside that others made and keep: its outputs are its inputs of the same name.
    Service,
}

impl Scope {
    /// Whether it runs on nodes; else there is one instance in a deployment, which has none.
    pub const fn has_node(self) -> bool {
        match self {
            Self::Node | Self::Leader => true,
            Self::Deployment | Self::Service => false,
        }
    }
}

/// Where a role lands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bind {
    /// The groups whose nodes get it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupName>,
    /// Only where another role on the node needs it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub implicit: bool,
}

/// A hard order without data: on a role or on whatever provides a capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Require {
    /// The role that has to be active; exclusive with `capability`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// The capability whose provider has to be active; exclusive with `role`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<CapabilityName>,
    /// Which instances.
    #[serde(default)]
    pub take: Take,
    /// Whether it may be missing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
}

/// One input of a role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InputSpec {
    /// The JSON Schema (2020-12) of its value.
    pub schema: Value,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where its value comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Source>,
    /// Its value when the source has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether the value is a secret.
    #[serde(default, skip_serializing_if = "is_false")]
    pub secret: bool,
    /// What a changed value asks for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_change: OnChange,
    /// Example values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Value>,
}

impl InputSpec {
    /// Whether its value is a secret: it says so, or its source is one.
    pub fn is_secret(&self) -> bool {
        self.secret || matches!(self.from, Some(Source::Secret(_)))
    }
}

/// What a changed input asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnChange {
    /// Run the role again.
    #[default]
    Apply,
    /// Undo the role, then run it again.
    Redeploy,
    /// Nothing: the value matters on the first run alone.
    Ignore,
}

/// One output of a role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputSpec {
    /// The JSON Schema (2020-12) of its value, checked before anything downstream sees it.
    pub schema: Value,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the value is a secret.
    #[serde(default, skip_serializing_if = "is_false")]
    pub secret: bool,
    /// Whether a re-run is expected to give the same value; a change is reported.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stable: bool,
}

/// What a role can be asked to do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Phases {
    /// Read-only: is it so already? Exit 0 says yes, 1 says no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<PhaseSpec>,
    /// Moves load away before `undo`, and before `apply` of changed role content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<PhaseSpec>,
    /// Makes it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply: Option<PhaseSpec>,
    /// Looks whether it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<PhaseSpec>,
    /// Takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<PhaseSpec>,
}

impl Phases {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// The spec of one phase.
    pub fn get(&self, phase: crate::Phase) -> Option<&PhaseSpec> {
        match phase {
            crate::Phase::Check => self.check.as_ref(),
            crate::Phase::Drain => self.drain.as_ref(),
            crate::Phase::Apply => self.apply.as_ref(),
            crate::Phase::Verify => self.verify.as_ref(),
            crate::Phase::Undo => self.undo.as_ref(),
        }
    }
}

/// One phase of a role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PhaseSpec {
    /// A file of the role's directory, or an entry point of the runner.
    pub run: String,
    /// How long it may take; by default ten minutes ([`PhaseSpec::DEFAULT_TIMEOUT`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Whether and how a failure is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// Pause between two runs of `verify` until it succeeded often enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// How many times in a row `verify` has to succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub successes: Option<u32>,
    /// Further environment variables; inputs do not belong here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl PhaseSpec {
    /// The time that a phase without `timeout` gets.
    pub const DEFAULT_TIMEOUT: Span = Span::from_secs(600);
}

/// Whether and how a failure is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retries {
    /// How many times after the first.
    #[schemars(range(max = 100))]
    pub max: u32,
    /// The first pause; by default one second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<Span>,
    /// What each further pause is multiplied with; by default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub factor: Option<f64>,
    /// The longest pause; by default one minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delay: Option<Span>,
    /// Which failures; by default `tempfail` and `agent-lost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<RetryReason>>,
}

/// A kind of failure that can be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RetryReason {
    /// Any failure.
    Error,
    /// The phase ran out of time.
    Timeout,
    /// The role asked for it: exit code 75, or `retry_after`.
    Tempfail,
    /// The agent did not come back in time.
    AgentLost,
}

/// What keeps a role from running beside others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Concurrency {
    /// How many instances run at once in a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub per_deployment: Option<u32>,
    /// The lock that it holds on its node while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockName>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(it: &bool) -> bool {
    !*it
}

fn is_default<T: Default + PartialEq>(it: &T) -> bool {
    it == &T::default()
}
