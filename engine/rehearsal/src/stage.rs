//! The real engine on a store in memory, with the simulated nodes, their parameters and the deployment, ready for its plan to be
//! accepted; killed and started again where a fault says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rebar_model::{
    Actor, ApiToken, Connection, DeploymentSpec, Digest, EnrolToken, Node, NodeMode, ProviderKind, TokenHash,
};
use rebar_orchestrator::{Engine, EngineError, Handle, Ports};
use rebar_ports::{Clock, Service, memory::Memory};
use rebar_scheduler::{Command, Refusal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    RehearsalError, Scenario, SimulatedNode, agent::House, clock::SimulatedClock, fleet::Fleet, limits::MAX_LENGTH,
    service::SimulatedService, tally::Tally,
};

/// The real engine among simulated things.
pub(crate) struct Stage {
    pub scenario: Arc<Scenario>,
    pub clock: Arc<SimulatedClock>,
    pub tally: Arc<Tally>,
    pub fleet: Fleet,
    pub store: Arc<Memory>,
    services: Vec<Arc<dyn Service>>,
    running: Option<(Engine, CancellationToken)>,
    door: watch::Sender<Option<Handle>>,
}

impl Stage {
    /// Everything but the engine.
    pub fn new(scenario: Arc<Scenario>, clock: Arc<SimulatedClock>, door: watch::Sender<Option<Handle>>) -> Self {
        let tally = Arc::new(Tally::new(scenario.faults.len()));
        let services = SimulatedService::all(&scenario, &clock, &tally);
        let house =
            House { scenario: scenario.clone(), clock: clock.clone(), tally: tally.clone(), door: door.subscribe() };
        let fleet = Fleet::new(Arc::new(house));
        Self { scenario, clock, tally, fleet, store: Arc::default(), services, running: None, door }
    }

    /// Starts the engine, on what it remembers.
    pub async fn start(&mut self) -> Result<Handle, RehearsalError> {
        let ports = Ports {
            store: self.store.clone(),
            logs: self.store.clone(),
            blobs: self.store.clone(),
            vault: self.store.clone(),
            clock: self.clock.clone(),
            entropy: Arc::new(self.scenario.chance()),
            services: self.services.clone(),
            listings: BTreeMap::new(),
            providers: BTreeMap::new(),
            advertise: String::new(),
            ca_fingerprint: String::new(),
            release_keys: Vec::new(),
            holder: "rehearsal".to_owned(),
        };
        let stop = CancellationToken::new();
        let engine = Engine::start(ports, stop.clone()).await.map_err(broken)?;
        let handle = engine.handle();
        self.running = Some((engine, stop));
        self.door.send_replace(Some(handle.clone()));
        Ok(handle)
    }

    /// The engine, if it is there.
    pub fn handle(&self) -> Option<Handle> {
        self.door.borrow().clone()
    }

    /// Ends the engine.
    pub async fn stop(&mut self) {
        self.door.send_replace(None);
        if let Some((engine, stop)) = self.running.take() {
            stop.cancel();
            engine.join().await;
        }
    }

    /// Makes everything that a plan is made of, and lets the agents come.
    pub async fn furnish(&self, handle: &Handle, token: &str) -> Result<(), RehearsalError> {
        let scenario = &self.scenario;
        let known = ApiToken {
            hash: TokenHash::of(token),
            name: "rehearsal".to_owned(),
            created_at: self.clock.now(),
            expires_at: None,
        };
        order(handle, Command::PutApiToken { token: known }).await?;
        order(handle, Command::ImportWorkload { workload: scenario.workload.clone() }).await?;
        for node in &scenario.nodes {
            let (node, token) = self.node(node);
            order(handle, Command::AddNode { node: Box::new(node), token }).await?;
        }
        self.fleet.arrive().await;
        let spec = DeploymentSpec {
            workload: scenario.workload.digest,
            groups: scenario.groups.clone(),
            profiles: scenario.profiles.clone(),
        };
        order(handle, Command::CreateDeployment { name: scenario.deployment.clone(), spec }).await?;
        for setting in &scenario.parameters {
            let value = scenario.value(setting).map_err(RehearsalError::Engine)?;
            let value = if setting.secret { handle.seal(&value).await.map_err(broken)? } else { value };
            let (scope, name) = (setting.scope.clone(), setting.name.clone());
            order(handle, Command::SetParameter { scope, name, value: Some(value) }).await?;
        }
        Ok(())
    }

    fn node(&self, it: &SimulatedNode) -> (Node, EnrolToken) {
        let now = self.clock.now();
        let hash = TokenHash::of(&Digest::of(it.name.as_str().as_bytes()).to_string());
        let token = EnrolToken { hash, node: it.name.clone(), expires_at: MAX_LENGTH.after(now), used_at: None };
        let node = Node {
            name: it.name.clone(),
            provider: ProviderKind::Join,
            machine: None,
            labels: it.labels.clone(),
            profiles: it.profiles.clone(),
            mode: NodeMode::Ready,
            facts: None,
            connection: Connection::Never,
            added_at: now,
        };
        (node, token)
    }

    /// Accepts the plan as it is now, with everything that it asks to be granted.
    pub async fn accept(&self, handle: &Handle) -> Result<(), RehearsalError> {
        let name = &self.scenario.deployment;
        let plan = handle.plan(name, None).map_err(|error| match error {
            EngineError::Refused(Refusal::BadPlan(errors)) => {
                let text: BTreeSet<String> = errors.iter().map(ToString::to_string).collect();
                RehearsalError::Engine(text.into_iter().collect::<Vec<_>>().join("; "))
            }
            error => RehearsalError::Engine(error.to_string()),
        })?;
        let grants = plan.destructive.clone();
        order(
            handle,
            Command::Accept {
                deployment: name.clone(),
                plan: plan.id,
                made: None,
                towards: None,
                grants,
                allowed: Vec::new(),
            },
        )
        .await
    }

    /// Whether nothing goes on and nothing will by itself; and whether that is because of nodes that are away.
    pub fn rests(&self) -> Option<bool> {
        let handle = self.handle()?;
        let (idle, away) = handle.read(|world| {
            let idle = world.attempts().is_empty() && world.next_timer().is_none();
            (idle, world.nodes().values().any(|it| !it.is_here()))
        });
        (idle && self.fleet.returning() == 0).then_some(away)
    }
}

async fn order(handle: &Handle, command: Command) -> Result<(), RehearsalError> {
    handle.command(Actor("rehearsal".to_owned()), command).await.map_err(broken)
}

fn broken(error: impl std::fmt::Display) -> RehearsalError {
    RehearsalError::Engine(error.to_string())
}
