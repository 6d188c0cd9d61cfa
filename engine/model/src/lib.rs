//! The nouns of Rebar, pure: names, roles, workloads, nodes, deployments, plans, node-roles, attempts, resources, and the
//! [`World`] that holds them. Nothing here does I/O, reads a clock or draws a random number; the verbs (planning,
//! scheduling, explaining) live in `rebar-scheduler`, reading and linting YAML in `rebar-manifest`.

mod address;
mod agent;
mod attempt;
mod breaker;
mod builtin;
mod change;
mod deployment;
mod digest;
mod expression;
mod id;
mod name;
mod node;
mod node_role;
mod parameter;
mod plan;
mod release;
mod resource;
mod role;
mod rollout;
mod runner;
mod source;
mod span;
mod token;
mod value;
mod verdict;
mod workload;
mod world;

pub use address::{NodeRoleId, ParseAddressError, Target};
pub use agent::{Agent, AgentUpgrade, StepState, UpgradeFailure, UpgradeNo, UpgradeReport, UpgradeState, UpgradeStep};
pub use attempt::{Attempt, AttemptKind, Failure, FailureKind, Outcome, Phase, Report, ResolvedInput};
pub use breaker::{Breaker, BreakerState, Evidence};
pub use builtin::{BuiltinPort, BuiltinPorts, PortType};
pub use change::{Actor, Change, Record};
pub use deployment::{Deployment, DeploymentSpec, Mode, Revision, Touched, Wishes};
pub use digest::{Digest, InvalidDigest};
pub use expression::{ExpressionTooLarge, bound_expression};
pub use id::{AttemptId, Epoch, RevisionNo, Seq};
pub use name::{CapabilityName, DeploymentName, GroupName, LockName, NodeName, ProfileName, RoleName, WorkloadName};
pub use name::{Ident, InvalidName, Name, kind};
pub use node::{Addresses, Connection, Cpu, Disk, Facts, Nic, Node, NodeMode, Os, ProviderKind};
pub use node_role::{
    Freshness, IllegalTransition, Intent, NodeRole, NodeRoleSpec, NodeRoleStatus, Requirement, RunsOn, State, Success,
    Trigger,
};
pub use parameter::{Layer, Parameter, ParameterScope};
pub use plan::{Action, Binding, Bound, Difference, Plan, PlanStep};
pub use release::{
    AgentBuild, AgentRelease, Hex, InvalidHex, InvalidPlatform, MAX_RELEASE_BYTES, ReleaseKey, ReleasePlatform,
    ReleaseSignature, ReleaseStatement, Sha256, SignedRelease,
};
pub use resource::{HealthCheck, ReadyWhen, Resource, ResourceId, ResourceKind};
pub use role::{
    Arch, Bind, Concurrency, Importance, InputSpec, Metadata, OnChange, OutputSpec, PhaseSpec, Phases, Platforms,
    RebootPolicy, Require, Retries, RetryReason, RoleManifest, RoleSpec, Scope,
};
pub use rollout::{Amount, BreakerSpec, Canary, Gate, GateKind, GatePoint, OnTrip, Quorum, Rollout};
pub use runner::{BuiltinAction, Runner, WasmRight};
pub use source::{GroupField, Source, Take};
pub use span::{InvalidSpan, Span};
pub use token::{ApiToken, EnrolToken, TokenHash};
pub use value::{SecretRef, secret_refs};
pub use verdict::{Reason, Standing, Verdict, WhoActs};
pub use workload::{
    FormSection, GroupSpec, ParameterSpec, RoleDefinition, Taken, Topology, Used, Workload, WorkloadManifest,
    WorkloadMetadata, WorkloadOutput, WorkloadSpec,
};
pub use world::{MissingFromWorld, World};

/// The `apiVersion` of every authoring document.
pub const API_VERSION: &str = "rebar.dev/v1";
