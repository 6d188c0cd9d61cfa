//! Random histories: every kind of change, each one that could happen in the World before it. Equal seeds give equal histories.

use std::{collections::BTreeMap, collections::BTreeSet, sync::Arc};

use anyhow::Result;
use jiff::Timestamp;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rebar_model::{
    Action, Actor, Agent, AgentBuild, AgentRelease, AgentUpgrade, ApiToken, Attempt, AttemptId, AttemptKind, Binding,
    Bound, Breaker, BreakerState, Change, Connection, Deployment, DeploymentName, DeploymentSpec, Digest, EnrolToken,
    Epoch, Evidence, Facts, Failure, FailureKind, Freshness, Hex, Ident, Intent, Mode, Node, NodeMode, NodeName,
    NodeRoleId, NodeRoleSpec, NodeRoleStatus, OnChange, Outcome, Parameter, ParameterScope, Phase, ProviderKind,
    Record, Requirement, ResolvedInput, Resource, ResourceId, ResourceKind, Revision, RevisionNo, RoleName, SecretRef,
    SignedRelease, Span, State, StepState, Success, Take, Taken, Target, TokenHash, Touched, UpgradeFailure,
    UpgradeState, UpgradeStep, Wishes, Workload, WorkloadMetadata, WorkloadSpec, World,
};
use serde_json::{Value, json};

const NODES: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];
const ROLES: [&str; 5] = ["engine", "join", "name", "verify", "web"];
const IDENTS: [&str; 4] = ["address", "token", "version", "size"];

/// Makes random histories.
#[derive(Debug)]
pub struct Generator {
    rng: StdRng,
    world: World,
    now: Timestamp,
    seen: BTreeSet<usize>,
}

impl Generator {
    /// The deployments of every history.
    pub const DEPLOYMENTS: [&'static str; 3] = ["demo", "prod", "shop"];

    /// How many kinds of change there are.
    pub const KINDS: usize = 22;

    /// A generator that goes on from a World.
    pub fn new(seed: u64, world: World) -> Self {
        let now = Span::from_secs(1_800_000_000).after(Timestamp::UNIX_EPOCH);
        Self { rng: StdRng::seed_from_u64(seed), world, now, seen: BTreeSet::new() }
    }

    /// The World after everything that was generated.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// How many kinds of change were generated.
    pub fn kinds_seen(&self) -> usize {
        self.seen.len()
    }

    /// A random number below another.
    pub fn below(&mut self, limit: usize) -> usize {
        self.rng.random_range(0..limit)
    }

    /// The next records of the history.
    pub fn records(&mut self, count: usize) -> Result<Vec<Record>> {
        (0..count).map(|_| self.record()).collect()
    }

    fn record(&mut self) -> Result<Record> {
        self.now += std::time::Duration::from_nanos(self.rng.random_range(1..5_000_000_000));
        // Moves and attempts are most of what an engine commits.
        let kind = if self.rng.random_bool(0.3) { 10 + self.below(3) } else { self.below(Self::KINDS) };
        let change = self.change(kind)?;
        self.seen.insert(kind);
        let actors = ["engine", "agent/n1", "operator/ann", "Zoë \"z\""];
        let by = Actor(actors[self.below(actors.len())].to_owned());
        let record = Record { seq: self.world.applied().next(), at: self.now, by, change };
        self.world.apply_record(&record)?;
        Ok(record)
    }

    fn change(&mut self, kind: usize) -> Result<Change> {
        Ok(match kind {
            0 => Change::EpochBegan { epoch: Epoch(self.world.epoch().0 + 1) },
            1 => Change::NodePut { node: Box::new(self.node()?) },
            2 => Change::NodeRemoved { name: self.node_name()? },
            3 => Change::WorkloadImported { workload: Arc::new(self.workload()?) },
            4 => Change::WorkloadRemoved { digest: self.digest() },
            5 => self.parameter()?,
            6 => Change::DeploymentPut { deployment: Box::new(self.deployment()?) },
            7 => self.removal_of_a_deployment()?,
            8 => Change::RevisionAccepted { revision: Box::new(self.revision()?) },
            9 => Change::NodeRoleSpecified { spec: Arc::new(self.spec()?) },
            10 | 11 => match self.known_node_role() {
                Some(id) if kind == 10 => Change::NodeRoleMoved { id, status: Box::new(self.status()?) },
                _ => Change::AttemptPut { attempt: Box::new(self.attempt()?) },
            },
            12 => match self.known_node_role() {
                Some(id) if self.rng.random_bool(0.2) => Change::NodeRoleRemoved { id },
                _ => Change::NodeRoleSpecified { spec: Arc::new(self.spec()?) },
            },
            13 => Change::ResourcePut { resource: Box::new(self.resource()?) },
            14 => Change::ResourceRemoved { id: ResourceId(self.node_role_id()?) },
            15 => Change::EnrolTokenPut { token: self.enrol_token()? },
            16 => Change::EnrolTokenRemoved { hash: TokenHash(self.digest()) },
            18 => Change::AgentReleasePut { release: Arc::new(self.agent_release()?) },
            19 => Change::AgentPut { agent: Box::new(self.agent()?) },
            20 => Change::AgentUpgradePut { upgrade: Box::new(self.agent_upgrade()?) },
            17 => Change::ApiTokenPut { token: self.api_token() },
            _ => Change::ApiTokenRemoved { hash: TokenHash(self.digest()) },
        })
    }

    /// A deployment goes when its node-roles have gone.
    fn removal_of_a_deployment(&mut self) -> Result<Change> {
        let name = self.deployment_name()?;
        let left = self.world.node_roles_of(&name).next().map(|(id, _)| id.clone());
        Ok(match left {
            Some(id) => Change::NodeRoleRemoved { id },
            None => Change::DeploymentRemoved { name },
        })
    }

    fn pick<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }

    fn node_name(&mut self) -> Result<NodeName> {
        Ok(self.pick(&NODES).parse()?)
    }

    fn role_name(&mut self) -> Result<RoleName> {
        Ok(self.pick(&ROLES).parse()?)
    }

    fn ident(&mut self) -> Result<Ident> {
        Ok(self.pick(&IDENTS).parse()?)
    }

    fn deployment_name(&mut self) -> Result<DeploymentName> {
        Ok(self.pick(&Self::DEPLOYMENTS).parse()?)
    }

    /// One of a few, so that what is removed often was there.
    fn digest(&mut self) -> Digest {
        Digest::of(&[u8::try_from(self.below(6)).unwrap_or(0)])
    }

    fn some_time(&mut self) -> Option<Timestamp> {
        self.rng.random_bool(0.5).then_some(self.now)
    }

    fn value(&mut self) -> Value {
        match self.below(8) {
            0 => Value::Null,
            1 => json!(self.rng.random::<bool>()),
            2 => json!(self.rng.random::<u64>()),
            3 => json!(self.rng.random::<f64>() * 1e-9),
            4 => json!([self.rng.random::<i64>(), "x\u{0}y", {"a": 1.5e300}]),
            5 => SecretRef(self.digest().to_string()).to_value(),
            6 => json!({"köy": "\"quoted\"\n", "list": []}),
            _ => json!("10.0.0.1"),
        }
    }

    fn values(&mut self) -> Result<BTreeMap<Ident, Value>> {
        (0..self.below(3)).map(|_| Ok((self.ident()?, self.value()))).collect()
    }

    fn node(&mut self) -> Result<Node> {
        let modes = [NodeMode::Ready, NodeMode::Maintenance { reason: "disks".to_owned() }];
        let (since, facts) = (self.now, Facts { hostname: "h".to_owned(), memory_mb: 2_048, ..Facts::default() });
        let connections = [Connection::Never, Connection::Here { since }, Connection::Away { since }];
        Ok(Node {
            name: self.node_name()?,
            provider: ProviderKind::Join,
            machine: self.rng.random_bool(0.5).then(|| "m".to_owned()),
            labels: BTreeMap::from([("rack".to_owned(), format!("b{}", self.below(4)))]),
            profiles: vec!["base".parse()?],
            mode: modes[self.below(2)].clone(),
            facts: self.rng.random_bool(0.5).then_some(facts),
            connection: connections[self.below(3)].clone(),
            added_at: self.now,
        })
    }

    fn workload(&mut self) -> Result<Workload> {
        let metadata = WorkloadMetadata {
            name: "shop".parse()?,
            version: semver::Version::new(1, 0, self.rng.random_range(0..9)),
            title: None,
            summary: "sells".to_owned(),
            license: "Apache-2.0".to_owned(),
            homepage: None,
            maintainers: Vec::new(),
            keywords: Vec::new(),
            icon: None,
        };
        let (inputs, outputs) = (BTreeMap::new(), BTreeMap::new());
        let spec = WorkloadSpec {
            engine: None,
            uses: Vec::new(),
            inputs,
            outputs,
            groups: BTreeMap::new(),
            topologies: BTreeMap::new(),
            rollout: None,
            form: Vec::new(),
        };
        let taken = Taken { workload: "used".parse()?, version: metadata.version.clone(), digest: self.digest() };
        let taken = if self.below(2) == 0 { vec![taken] } else { Vec::new() };
        Ok(Workload { digest: self.digest(), metadata, spec, roles: BTreeMap::new(), taken })
    }

    fn parameter(&mut self) -> Result<Change> {
        let scope = match self.below(4) {
            0 => ParameterScope::Global,
            1 => ParameterScope::Profile("base".parse()?),
            2 => ParameterScope::Deployment(self.deployment_name()?),
            _ => ParameterScope::Node(self.node_name()?),
        };
        let parameter = Parameter { value: self.value(), by: Actor::engine(), at: self.now };
        Ok(Change::ParameterSet {
            scope,
            name: self.ident()?,
            parameter: self.rng.random_bool(0.7).then_some(parameter),
        })
    }

    fn deployment_spec(&mut self) -> Result<DeploymentSpec> {
        let groups = BTreeMap::from([("manager".parse()?, vec![self.node_name()?, self.node_name()?])]);
        Ok(DeploymentSpec { workload: self.digest(), groups, profiles: Vec::new() })
    }

    fn deployment(&mut self) -> Result<Deployment> {
        let modes = [Mode::Converging, Mode::Rebuilding, Mode::Destroying];
        Ok(Deployment {
            name: self.deployment_name()?,
            spec: self.deployment_spec()?,
            revision: RevisionNo(self.rng.random_range(0..9)),
            mode: modes[self.below(3)],
            paused: self.rng.random_bool(0.3).then(|| "lunch".to_owned()),
            leaders: BTreeMap::from([(self.role_name()?, self.node_name()?)]),
            created_at: self.now,
            rebuilds: self.rng.random_range(0..5),
            breaker: self.breaker()?,
        })
    }

    fn breaker(&mut self) -> Result<Breaker> {
        let (since, by) = (self.now, Actor("ann".to_owned()));
        let (attempt, next) = (AttemptId(self.rng.random_range(1..99)), AttemptId(self.rng.random_range(1..99)));
        let state = match self.below(5) {
            0 => BreakerState::Open { since, by, evidence: Evidence::Consecutive { failures: 3, attempt }, next },
            1 => BreakerState::Open { since, by, evidence: Evidence::Failed { nodes: 2, allowed: 1, attempt }, next },
            2 => BreakerState::Open { since, by, evidence: Evidence::Manual { reason: "lunch".to_owned() }, next },
            3 => BreakerState::HalfOpen { since, by, probe: Some(self.node_role_id()?) },
            _ => BreakerState::Closed,
        };
        Ok(Breaker { state, in_a_row: self.rng.random_range(0..4), failed: BTreeSet::from([self.node_name()?]) })
    }

    fn revision(&mut self) -> Result<Revision> {
        let deployment = self.deployment_name()?;
        let no = self.world.revision(&deployment).map_or(RevisionNo(1), |it| it.no.next());
        let actions = [Action::Create, Action::Change, Action::Retire];
        let touched = vec![Touched { id: self.node_role_id()?, action: actions[self.below(3)] }];
        let parameters = BTreeMap::from([(self.ident()?, json!(self.rng.random::<u32>()))]);
        let (wishes, plan) = (Wishes { spec: self.deployment_spec()?, parameters }, self.digest());
        let restores = self.rng.random_bool(0.2).then_some(RevisionNo(1));
        Ok(Revision { deployment, no, wishes, restores, plan, by: Actor("ann".to_owned()), at: self.now, touched })
    }

    fn node_role_id(&mut self) -> Result<NodeRoleId> {
        let target = if self.rng.random_bool(0.2) { Target::Deployment } else { Target::Node(self.node_name()?) };
        Ok(NodeRoleId { deployment: self.deployment_name()?, role: self.role_name()?, target })
    }

    fn known_node_role(&mut self) -> Option<NodeRoleId> {
        let count = self.world.node_roles().len();
        if count == 0 {
            return None;
        }
        let place = self.below(count);
        self.world.node_roles().keys().nth(place).cloned()
    }

    fn spec(&mut self) -> Result<NodeRoleSpec> {
        let id = self.node_role_id()?;
        let candidates = vec![self.node_role_id()?, self.node_role_id()?];
        let requirement =
            Requirement { role: self.role_name()?, take: Take::All, candidates, via: "requires".to_owned() };
        let bound = Bound::Value { value: self.value(), origin: "deployment demo".to_owned() };
        let binding = Binding { bound, secret: false, on_change: OnChange::Apply };
        Ok(NodeRoleSpec {
            agent: id.node().cloned(),
            id,
            workload: self.digest(),
            content: self.digest(),
            group: Some("manager".parse()?),
            ordinal: self.rng.random_range(0..9),
            bindings: BTreeMap::from([(self.ident()?, Arc::new(binding))]),
            requires: vec![requirement],
            lock: self.rng.random_bool(0.3).then(|| "apt".parse()).transpose()?,
            leave_after: vec![self.node_role_id()?],
        })
    }

    fn failure(&mut self) -> Failure {
        Failure {
            kind: FailureKind::Tempfail,
            phase: Some(Phase::Apply),
            exit_code: Some(75),
            message: "later".to_owned(),
            retry_after: Some(Span::from_secs(self.rng.random_range(1..90))),
        }
    }

    fn status(&mut self) -> Result<NodeRoleStatus> {
        let (attempt, since, key) = (self.world.next_attempt(), self.now, self.digest());
        let deadline = Span::from_secs(self.rng.random_range(1..900)).after(since);
        let states = [
            State::Waiting,
            State::Queued { since },
            State::Running { attempt, since, deadline },
            State::Active { freshness: Freshness::Fresh },
            State::Active { freshness: Freshness::Stale },
            State::Failed { attempt, at: since, failure: self.failure(), key },
            State::Undoing { attempt, since, deadline },
            State::Removed,
        ];
        let intents = [Intent::Present, Intent::Absent, Intent::Forgotten];
        let success =
            Success { attempt, at: since, key, replace_key: self.digest(), content: key, outputs: self.values()? };
        Ok(NodeRoleStatus {
            state: states[self.below(states.len())].clone(),
            intent: intents[self.below(3)],
            last: self.rng.random_bool(0.5).then_some(success),
            attempts: self.rng.random_range(0..9),
            tries: self.rng.random_range(0..3),
            not_before: self.some_time(),
        })
    }

    /// A new attempt, or the next thing that happens to one under way.
    fn attempt(&mut self) -> Result<Attempt> {
        let under_way = self.world.attempts().len();
        if under_way > 0 && self.rng.random_bool(0.6) {
            let place = self.below(under_way);
            if let Some(mut attempt) = self.world.attempts().values().nth(place).cloned() {
                attempt.accepted_at = Some(self.now);
                if self.rng.random_bool(0.7) {
                    attempt.ended_at = Some(self.now);
                    let outputs = self.values()?;
                    let succeeded = Outcome::Succeeded { outputs, converged: false, note: Some("ok".to_owned()) };
                    let outcomes = [succeeded, Outcome::Failed(self.failure()), Outcome::Cancelled];
                    attempt.outcome = Some(outcomes[self.below(3)].clone());
                }
                return Ok(attempt);
            }
        }
        let node_role = self.node_role_id()?;
        let input = ResolvedInput { value: self.value(), from: vec![self.node_role_id()?] };
        Ok(Attempt {
            id: self.world.next_attempt(),
            node: node_role.node().cloned(),
            node_role,
            number: self.rng.random_range(1..9),
            kind: AttemptKind::Apply,
            phases: vec![Phase::Check, Phase::Apply, Phase::Verify],
            epoch: self.world.epoch(),
            workload: self.digest(),
            content: self.digest(),
            key: self.digest(),
            replace_key: self.digest(),
            inputs: BTreeMap::from([(self.ident()?, input)]),
            started_at: self.now,
            deadline: Span::from_secs(600).after(self.now),
            accepted_at: None,
            ended_at: None,
            outcome: None,
        })
    }

    fn resource(&mut self) -> Result<Resource> {
        let values = vec!["10.0.0.1".to_owned()];
        let kinds = [
            ResourceKind::DnsRecord { name: "a.demo.test".to_owned(), record: "A".to_owned(), values, ttl: 5 },
            ResourceKind::IpamAddress { pool: "10.0.0.0/24".to_owned(), exclude: Vec::new() },
            ResourceKind::PkiCa { common_name: "demo".to_owned() },
        ];
        Ok(Resource { owner: self.node_role_id()?, kind: kinds[self.below(3)].clone(), observed: self.values()? })
    }

    fn enrol_token(&mut self) -> Result<EnrolToken> {
        let (hash, node) = (TokenHash(self.digest()), self.node_name()?);
        Ok(EnrolToken { hash, node, expires_at: self.now, used_at: self.some_time() })
    }

    fn api_token(&mut self) -> ApiToken {
        let (hash, created_at) = (TokenHash(self.digest()), self.now);
        ApiToken { hash, name: "ann".to_owned(), created_at, expires_at: self.some_time() }
    }

    fn version(&mut self) -> Result<semver::Version> {
        Ok(self.pick(&["1.0.0", "1.1.0-rc.1", "2.0.0+build.7"]).parse()?)
    }

    fn agent_release(&mut self) -> Result<AgentRelease> {
        let statement = r#"{"kind":"rebar-agent-release"}"#.to_owned();
        let signed = SignedRelease { statement, key: Hex([1; 32]), signature: Hex([2; 64]) };
        let content = self.digest();
        let build = AgentBuild { content, size: 7_400_000, sha256: Hex([3; 32]), signed, imported_at: self.now };
        let platforms = ["linux/amd64", "linux/arm64"];
        let builds = platforms[..=self.below(2)].iter().map(|it| Ok((it.parse()?, build.clone())));
        Ok(AgentRelease { version: self.version()?, builds: builds.collect::<Result<_>>()? })
    }

    fn upgrade_failure(&mut self) -> UpgradeFailure {
        let reason = "it ended: exit status: 1".to_owned();
        match self.below(4) {
            0 => UpgradeFailure::Refused { reason },
            1 => UpgradeFailure::RolledBack { reason },
            2 => UpgradeFailure::Silent,
            _ => UpgradeFailure::Unstable,
        }
    }

    fn agent(&mut self) -> Result<Agent> {
        let (at, deadline) = (self.now, Span::from_secs(600).after(self.now));
        let state = match self.below(4) {
            0 => StepState::Told { deadline },
            1 => StepState::Watched { until: at, deadline },
            2 => StepState::Done { at },
            _ => StepState::Failed { failure: self.upgrade_failure(), at },
        };
        let upgrade = self.world.agent_upgrade().map(|it| it.no).unwrap_or_default();
        let step = self.rng.random_bool(0.7).then_some(UpgradeStep { upgrade, state });
        let version = if self.rng.random_bool(0.9) { Some(self.version()?) } else { None };
        Ok(Agent { node: self.node_name()?, version, step })
    }

    /// The next upgrade, or a change of the last one.
    fn agent_upgrade(&mut self) -> Result<AgentUpgrade> {
        let last = self.world.agent_upgrade().map(|it| it.no).unwrap_or_default();
        let at = self.now;
        let state = match self.below(4) {
            0 => UpgradeState::Running,
            1 => UpgradeState::Held { node: self.node_name()?, failure: self.upgrade_failure(), at },
            2 => UpgradeState::Stopped { by: Actor("ann".to_owned()), at },
            _ => UpgradeState::Done { at },
        };
        Ok(AgentUpgrade {
            no: if self.rng.random_bool(0.3) { last.next() } else { last },
            version: self.version()?,
            canaries: 1,
            max_in_flight: 5,
            stable_for: Span::from_secs(30),
            report_within: Span::from_secs(1800),
            first: vec![self.node_name()?],
            state,
            by: Actor("ann".to_owned()),
            started_at: at,
        })
    }
}
