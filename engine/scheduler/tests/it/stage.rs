//! A stage for short sessions: a World with nodes and a workload of roles written as JSON, and agents that do what the test says.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use rebar_model::{
    Actor, AttemptId, Change, Connection, DeploymentName, DeploymentSpec, Digest, EnrolToken, Facts, Failure,
    FailureKind, Ident, Node, NodeMode, NodeRoleId, ParameterScope, ProviderKind, Report, RoleDefinition, RoleManifest,
    RoleName, Span, TokenHash, Workload, WorkloadManifest, World,
};
use rebar_scheduler::{Command, Effect, Input, Progress, Refusal, invariants, plan, step};
use serde_json::{Value, json};

/// The World, the time, and what was asked of agents.
pub struct Stage {
    pub world: World,
    pub now: Timestamp,
    /// Attempts that were handed out and have not ended, in order.
    pub handed: Vec<AttemptId>,
    /// Attempts that agents were told to end.
    pub cancelled: Vec<AttemptId>,
    /// Everything that was ever handed out, by local address.
    pub history: Vec<String>,
    /// The nodes whose agents were told to become another release.
    pub told: Vec<String>,
}

pub fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// `demo` on nodes of the group `all`.
pub fn demo() -> DeploymentName {
    name("demo")
}

/// A script role on every node of the group `all`, with changes merged into its spec.
pub fn role(role: &str, spec: Value) -> (String, Value) {
    let mut base = json!({
        "scope": "node", "bind": {"groups": ["all"]}, "runner": {"type": "script"},
        "phases": {"apply": {"run": "apply.sh", "timeout": "10s"}, "undo": {"run": "undo.sh", "timeout": "10s"}},
    });
    merge(&mut base, spec);
    (role.to_owned(), base)
}

fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// A workload with one group `all` and one parameter `size`, besides what `spec` says.
pub fn workload(version: &str, roles: Vec<(String, Value)>, spec: Value) -> Workload {
    let mut manifest = json!({
        "apiVersion": "rebar.dev/v1", "kind": "Workload",
        "metadata": {"name": "stage", "version": version, "summary": "stage", "license": "Apache-2.0"},
        "spec": {"inputs": {"size": {"schema": {"type": "integer"}, "default": 1}}, "groups": {"all": {"summary": "all"}}},
    });
    merge(&mut manifest["spec"], spec);
    let manifest: WorkloadManifest = serde_json::from_value(manifest).unwrap();
    let roles: BTreeMap<RoleName, Arc<RoleDefinition>> = roles
        .into_iter()
        .map(|(role, spec)| {
            let manifest = json!({
                "apiVersion": "rebar.dev/v1", "kind": "Role", "metadata": {"name": role, "summary": role}, "spec": spec,
            });
            let manifest: RoleManifest = serde_json::from_value(manifest).unwrap();
            let content = Digest::of_json(&manifest);
            (name(&role), Arc::new(RoleDefinition { manifest, content }))
        })
        .collect();
    let digest = Digest::of_json(&(&manifest, &roles));
    Workload { digest, metadata: manifest.metadata, spec: manifest.spec, roles, taken: Vec::new() }
}

impl Stage {
    /// A World with connected nodes and a deployment of the workload on them, not yet applied.
    pub fn new(nodes: &[&str], roles: Vec<(String, Value)>) -> Self {
        Self::with(nodes, workload("1.0.0", roles, json!({})))
    }

    pub fn with(nodes: &[&str], workload: Workload) -> Self {
        let mut stage = Self {
            world: World::default(),
            now: Timestamp::UNIX_EPOCH,
            handed: Vec::new(),
            cancelled: Vec::new(),
            history: Vec::new(),
            told: Vec::new(),
        };
        for node in nodes {
            stage.add_node(node);
        }
        let digest = workload.digest;
        stage.command(Command::ImportWorkload { workload: Arc::new(workload) }).unwrap();
        let groups = BTreeMap::from([(name("all"), nodes.iter().map(|it| name(it)).collect())]);
        let spec = DeploymentSpec { workload: digest, groups, profiles: Vec::new() };
        stage.command(Command::CreateDeployment { name: demo(), spec }).unwrap();
        stage
    }

    pub fn add_node(&mut self, node: &str) {
        let token = EnrolToken {
            hash: TokenHash::of(node),
            node: name(node),
            expires_at: Span::from_secs(60).after(self.now),
            used_at: None,
        };
        let facts = Facts { hostname: node.to_owned(), memory_mb: 1024, ..Facts::default() };
        let node = Node {
            name: name(node),
            provider: ProviderKind::Join,
            machine: None,
            labels: BTreeMap::new(),
            profiles: Vec::new(),
            mode: NodeMode::Ready,
            facts: Some(facts),
            connection: Connection::Never,
            added_at: self.now,
        };
        let here = node.name.clone();
        self.command(Command::AddNode { node: Box::new(node), token }).unwrap();
        self.input(Input::AgentConnected { node: here, held: Vec::new() }).unwrap();
    }

    pub fn command(&mut self, command: Command) -> Result<Progress, Refusal> {
        self.input(Input::Command { by: Actor("ana".to_owned()), command })
    }

    pub fn input(&mut self, input: Input) -> Result<Progress, Refusal> {
        let progress = step(&mut self.world, input, self.now)?;
        for effect in &progress.effects {
            match effect {
                Effect::Dispatch { attempt, .. } => {
                    self.handed.push(*attempt);
                    self.history.push(self.world.attempts()[attempt].node_role.local());
                }
                Effect::Cancel { attempt, .. } => self.cancelled.push(*attempt),
                Effect::Upgrade { node } => self.told.push(node.to_string()),
                Effect::Release { .. } | Effect::Reconcile => {}
            }
        }
        for change in &progress.changes {
            if let Change::AttemptPut { attempt } = change
                && attempt.outcome.is_some()
            {
                self.handed.retain(|it| *it != attempt.id);
            }
        }
        assert_eq!(invariants::violations(&self.world), []);
        Ok(progress)
    }

    pub fn members(&mut self, nodes: &[&str]) {
        let mut spec = self.world.deployments()[&demo()].spec.clone();
        spec.groups.insert(name("all"), nodes.iter().map(|it| name(it)).collect());
        self.command(Command::ChangeDeployment { name: demo(), spec }).unwrap();
    }

    pub fn set(&mut self, scope: ParameterScope, parameter: &str, value: Value) {
        self.command(Command::SetParameter { scope, name: name(parameter), value: Some(value) }).unwrap();
    }

    pub fn set_size(&mut self, size: u32) {
        self.set(ParameterScope::Deployment(demo()), "size", json!(size));
    }

    /// Plans and accepts.
    pub fn apply(&mut self) {
        let plan = plan(&self.world, &demo()).unwrap();
        let (grants, allowed) = (plan.destructive, plan.protected);
        self.command(Command::Accept { deployment: demo(), plan: plan.id, made: None, towards: None, grants, allowed })
            .unwrap();
    }

    /// The attempts under way, by local address.
    pub fn running(&self) -> Vec<String> {
        let mut running: Vec<_> = self.handed.iter().map(|it| self.world.attempts()[it].node_role.local()).collect();
        running.sort();
        running
    }

    fn attempt_of(&self, address: &str) -> AttemptId {
        let found = self.handed.iter().find(|it| self.world.attempts()[it].node_role.local() == address);
        *found.unwrap_or_else(|| panic!("{address} is not running, but {:?}", self.running()))
    }

    /// An attempt works, with outputs.
    pub fn succeed(&mut self, address: &str, outputs: Value) {
        let outputs: BTreeMap<Ident, Value> = serde_json::from_value(outputs).unwrap();
        self.end(address, Report::Succeeded { outputs, converged: false, note: None });
    }

    pub fn fail(&mut self, address: &str, kind: FailureKind) {
        let message = "broken".to_owned();
        self.end(
            address,
            Report::Failed(Failure { kind, phase: None, exit_code: Some(1), message, retry_after: None }),
        );
    }

    pub fn end(&mut self, address: &str, report: Report) {
        let attempt = self.attempt_of(address);
        let node = self.world.attempts()[&attempt].node.clone();
        self.input(Input::AttemptEnded { node, attempt, report, phase: None }).unwrap();
    }

    /// Everything that runs, and what follows, works; outputs named `out` are what `value` says.
    pub fn settle(&mut self, value: impl Fn(&str) -> Value) {
        while let Some(address) = self.running().first().cloned() {
            let attempt = &self.world.attempts()[&self.attempt_of(&address)];
            let spec = &self.world.node_role(&attempt.node_role).unwrap().spec;
            let declared = self.world.role_of(spec).unwrap().manifest.spec.outputs.keys().cloned();
            let undo = attempt.kind == rebar_model::AttemptKind::Undo;
            let outputs: BTreeMap<Ident, Value> =
                if undo { BTreeMap::new() } else { declared.map(|it| (it, value(&address))).collect() };
            self.end(&address, Report::Succeeded { outputs, converged: false, note: None });
        }
    }

    pub fn pass(&mut self, span: Span) {
        self.now = span.after(self.now);
        self.input(Input::Tick).unwrap();
    }

    #[expect(clippy::unused_self, reason = "reads as a question to the stage")]
    pub fn id(&self, local: &str) -> NodeRoleId {
        name(&format!("demo/{local}"))
    }

    /// The word for a node-role.
    pub fn word(&self, local: &str) -> &'static str {
        self.world.node_role(&self.id(local)).map_or("gone", |it| it.status.state.word())
    }

    /// What was handed out since the last call.
    pub fn news(&mut self) -> Vec<String> {
        let mut news = std::mem::take(&mut self.history);
        news.sort();
        news
    }
}
