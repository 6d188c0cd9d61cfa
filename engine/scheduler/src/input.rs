//! What can happen: commands of people, messages of agents and services, the passing of time. The follow-ups that a decision asks
//! for are inputs too, so that every change of the World starts from one.

use std::sync::Arc;

use rebar_model::{
    Actor, AgentBuild, ApiToken, AttemptId, DeploymentName, DeploymentSpec, Digest, EnrolToken, Facts, Ident, Node,
    NodeMode, NodeName, NodeRoleId, ParameterScope, Phase, Plan, ProfileName, ReleasePlatform, Report, RevisionNo,
    RoleName, Span, TokenHash, UpgradeReport, Wishes, Workload,
};
use semver::Version;
use serde_json::Value;

/// Wishes that a plan makes those of its deployment when it is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Towards {
    /// All of them.
    pub wishes: Wishes,
    /// The earlier revision whose wishes they are again, if it is to go back to that.
    pub restores: Option<RevisionNo>,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A person asks for something.
    Command {
        /// Who.
        by: Actor,
        /// What.
        command: Command,
    },
    /// An agent is here.
    AgentConnected {
        /// Of which node.
        node: NodeName,
        /// The attempts that its journal holds.
        held: Vec<AttemptId>,
    },
    /// An agent that is here said what it is.
    AgentSaid {
        /// Of which node.
        node: NodeName,
        /// Its version, if it is one.
        version: Option<Version>,
        /// The last upgrade that it did not go through with.
        report: Option<UpgradeReport>,
    },
    /// An agent does not go through with an upgrade.
    UpgradeFailed {
        /// Of which node.
        node: NodeName,
        /// Which upgrade, and why.
        report: UpgradeReport,
    },
    /// An agent is not here any more.
    AgentLost {
        /// Of which node.
        node: NodeName,
    },
    /// An agent reported about its machine.
    FactsReported {
        /// Of which node.
        node: NodeName,
        /// What it reported.
        facts: Box<Facts>,
    },
    /// An attempt is in the journal of its agent.
    AttemptAccepted {
        /// Of which node.
        node: NodeName,
        /// Which one.
        attempt: AttemptId,
    },
    /// An attempt ended.
    AttemptEnded {
        /// The node that says so; none for the engine itself.
        node: Option<NodeName>,
        /// Which one.
        attempt: AttemptId,
        /// How. Outputs were checked against their schema, and secrets sealed.
        report: Report,
        /// The phase that ran last, where known.
        phase: Option<Phase>,
    },
    /// Time passed.
    Tick,
    /// A new engine took over this World.
    TookOver,
    /// Follow-up: a node-role may be able to move.
    Look {
        /// Which one.
        id: NodeRoleId,
    },
    /// Follow-up: what depends on these may be out of date.
    Suspect {
        /// The ones that are being run again.
        roots: Vec<NodeRoleId>,
    },
    /// Follow-up: the upgrade of the agents may go on.
    Upgrade,
    /// Follow-up: everything of a deployment may be gone.
    Settle {
        /// Which one.
        deployment: DeploymentName,
    },
}

/// What a person can ask for.
#[derive(Debug, Clone)]
pub enum Command {
    /// Take a machine under care, with the token that its agent enrols with.
    AddNode {
        /// The node.
        node: Box<Node>,
        /// The token.
        token: EnrolToken,
    },
    /// Say what the provider called the machine.
    NameMachine {
        /// The node.
        node: NodeName,
        /// The provider's name for it.
        machine: String,
    },
    /// Change labels or profiles of a node; none leaves them as they are.
    ChangeNode {
        /// The node.
        node: NodeName,
        /// Labels to set, or to unset with none.
        labels: Vec<(String, Option<String>)>,
        /// All profiles.
        profiles: Option<Vec<ProfileName>>,
    },
    /// Start or end maintenance.
    SetNodeMode {
        /// The node.
        node: NodeName,
        /// The mode.
        mode: NodeMode,
    },
    /// Forget a node.
    RemoveNode {
        /// The node.
        node: NodeName,
        /// Whether it is taken out in order or gone for good.
        removal: NodeRemoval,
    },
    /// Make a new enrolment token.
    PutEnrolToken {
        /// The token.
        token: EnrolToken,
    },
    /// Use an enrolment token up.
    UseEnrolToken {
        /// Its hash.
        hash: TokenHash,
    },
    /// Make an operator's token.
    PutApiToken {
        /// The token.
        token: ApiToken,
    },
    /// Take an operator's token back.
    RemoveApiToken {
        /// Its hash.
        hash: TokenHash,
    },
    /// Add a workload version.
    ImportWorkload {
        /// The workload.
        workload: Arc<Workload>,
    },
    /// Forget a workload version.
    RemoveWorkload {
        /// Its digest.
        digest: Digest,
    },
    /// Add the program of a release of the agent. Whoever asks for it has verified it.
    ImportAgentRelease {
        /// The version of the release.
        version: Version,
        /// What the program runs on.
        platform: ReleasePlatform,
        /// The program.
        build: AgentBuild,
    },
    /// Upgrade all agents.
    UpgradeAgents {
        /// To what, and how.
        wish: UpgradeWish,
    },
    /// Tell no further agent of the upgrade.
    StopUpgrade,
    /// Set or unset a parameter.
    SetParameter {
        /// At which level.
        scope: ParameterScope,
        /// Its name.
        name: Ident,
        /// The value, a secret as its reference; none unsets it.
        value: Option<Value>,
    },
    /// Make a deployment.
    CreateDeployment {
        /// Its name.
        name: DeploymentName,
        /// What is wished for.
        spec: DeploymentSpec,
    },
    /// Change what is wished for; the next accepted plan makes it true.
    ChangeDeployment {
        /// Its name.
        name: DeploymentName,
        /// What is wished for now.
        spec: DeploymentSpec,
    },
    /// Accept a plan.
    Accept {
        /// Of which deployment.
        deployment: DeploymentName,
        /// The id of the plan.
        plan: Digest,
        /// The plan itself, where it was made of this very World: it would be made the same again.
        made: Option<Arc<Plan>>,
        /// The wishes that it was made from, where they are others than those of now.
        towards: Option<Box<Towards>>,
        /// The destructive roles that may run.
        grants: Vec<RoleName>,
        /// The protected roles that may be taken away.
        allowed: Vec<RoleName>,
    },
    /// Open the breaker of a deployment: nothing new starts, whatever waits.
    TripBreaker {
        /// Of which deployment.
        deployment: DeploymentName,
        /// Why.
        reason: String,
    },
    /// Close the breaker of a deployment, or have it let one through to try.
    ResetBreaker {
        /// Of which deployment.
        deployment: DeploymentName,
        /// Whether only one is let through at first.
        probe: bool,
    },
    /// Start nothing new.
    Pause {
        /// In which deployment.
        deployment: DeploymentName,
        /// Why.
        reason: String,
    },
    /// Go on.
    Resume {
        /// Which deployment.
        deployment: DeploymentName,
    },
    /// Try failed node-roles again.
    Retry {
        /// Of which deployment.
        deployment: DeploymentName,
        /// Which ones; empty means all that failed.
        ids: Vec<NodeRoleId>,
    },
    /// End the attempts under way and start nothing new.
    Cancel {
        /// Of which deployment.
        deployment: DeploymentName,
        /// Why.
        reason: String,
    },
    /// Undo everything, then build it again.
    Rebuild {
        /// Which deployment.
        deployment: DeploymentName,
        /// The protected roles that may be taken away.
        allowed: Vec<RoleName>,
    },
    /// Undo everything, then forget the deployment.
    Destroy {
        /// Which deployment.
        deployment: DeploymentName,
        /// The protected roles that may be taken away.
        allowed: Vec<RoleName>,
    },
}

/// An upgrade of the agents as a person wishes for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeWish {
    /// The release.
    pub version: Version,
    /// How many agents go first; at least one does.
    pub canaries: u32,
    /// How many agents are upgraded at once after that; at least one is.
    pub max_in_flight: u32,
    /// How long an agent has to stay connected before the next ones follow.
    pub stable_for: Span,
    /// How long an agent may take to say that it is the new one.
    pub report_within: Span,
}

/// How a node leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeRemoval {
    /// In order: refused while a deployment uses it.
    Orderly,
    /// It is gone for good: its node-roles are forgotten without being undone.
    Gone {
        /// The protected roles that may be forgotten.
        allowed: Vec<RoleName>,
    },
}
