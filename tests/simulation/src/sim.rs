//! One simulation from its seed to its summary: sets the stage, lets the storm pass, calms down, and demands that everything settles.
//! What goes wrong is in `nemesis`, what the operator wants in `operator`, what must never be in `audit`.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError, atomic::Ordering},
    time::Duration,
};

use fastrand::Rng;
use jiff::Timestamp;
use rebar_model::{Change, DeploymentSpec, Digest, NodeName, Workload, World};
use rebar_orchestrator::EngineError;
use rebar_scheduler::Command;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

use crate::{
    agent::Agent,
    audit::Audit,
    chance::{Chance, Faults},
    engines::Engines,
    gate::Pulse,
    generate::{self, deployment_name, parse},
    machine::Machine,
    nemesis::{self, STORM},
    network::Network,
    operator::{self, Care},
    store::Database,
};

/// Settling takes no longer than this: a run that gets here does not end.
pub(crate) const PATIENCE: Duration = Duration::from_mins(30);
/// How long an operator waits for an answer before he asks again.
const ANSWER: Duration = Duration::from_secs(20);
/// Between two looks at whether something still happens.
pub(crate) const LOOK: Duration = Duration::from_millis(700);

/// What a simulation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The hash of the whole history.
    pub history: Digest,
    /// How many changes it has.
    pub changes: usize,
    /// How many attempts were begun on machines.
    pub attempts: usize,
    /// How long it took in simulated time.
    pub took: Duration,
}

/// A whole Rebar in one thread.
pub(crate) struct Sim {
    pub(crate) chance: Chance,
    pub(crate) audit: Audit,
    pub(crate) database: Database,
    pub(crate) engines: Arc<Engines>,
    pub(crate) network: Network,
    /// What the roles are drawn from.
    shape: u64,
    machines: Mutex<BTreeMap<NodeName, Hosted>>,
}

/// A machine and the process of its agent.
pub(crate) struct Hosted {
    pub(crate) machine: Machine,
    agent: Option<JoinHandle<()>>,
    pub(crate) gone: bool,
}

thread_local! {
    /// What went wrong in a task: the runtime would only note that the task is gone.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn listen_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with_borrow_mut(|it| it.push(info.to_string()));
            before(info);
        }));
    });
    PANICS.with_borrow_mut(Vec::clear);
}

/// A task that panicked fails the run.
pub(crate) fn assert_no_panic() {
    let panics = PANICS.with_borrow(Clone::clone);
    assert!(panics.is_empty(), "a task panicked: {}", panics.join("; "));
}

/// Plays one simulation on a runtime of one thread whose clock is paused. Panics, with what happened, when something is as it must
/// never be or does not settle.
pub async fn play(seed: u64, faults: Faults) -> Summary {
    listen_for_panics();
    let began = Instant::now();
    let sim = Arc::new(Sim::new(seed, faults));
    sim.set_stage().await;
    sim.weather().await;
    sim.calm().await;
    assert_no_panic();
    sim.summary(began.elapsed())
}

impl Sim {
    fn new(seed: u64, faults: Faults) -> Self {
        let chance = Chance::new(seed, faults);
        let audit = Audit::default();
        let database = Database::default();
        let shape = chance.draw(|rng| rng.u64(..));
        let count = chance.draw(|rng| rng.usize(1..4));
        let engines = Engines::new(count, database.clone(), audit.clone(), chance.clone());
        let network = Network::new(chance.clone());
        Self { chance, audit, database, engines, network, shape, machines: Mutex::default() }
    }

    pub(crate) fn machines(&self) -> MutexGuard<'_, BTreeMap<NodeName, Hosted>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A deployment of random roles on random nodes.
    async fn set_stage(&self) {
        for at in 0..self.engines.count() {
            self.engines.start(at);
        }
        let workload = self.workload(0);
        let digest = workload.digest;
        self.insist(Command::ImportWorkload { workload }).await;
        let (front, back) = self.chance.draw(|rng| (rng.usize(1..4), rng.usize(..5)));
        let names =
            |prefix: &str, count| (1..=count).map(|it| parse(&format!("{prefix}-{it}"))).collect::<Vec<NodeName>>();
        let (front, back, spare) = (names("f", front), names("b", back), names("s", 2));
        for node in front.iter().chain(&back).chain(&spare) {
            self.insist(operator::add_node(node, self.now())).await;
            let machine = Machine::new(node.clone(), self.chance.clone(), self.audit.clone());
            self.machines().insert(node.clone(), Hosted { machine, agent: None, gone: false });
            self.start_agent(node);
        }
        let groups = BTreeMap::from([(parse("front"), front), (parse("back"), back)]);
        let spec = DeploymentSpec { workload: digest, groups, profiles: Vec::new() };
        self.insist(Command::CreateDeployment { name: deployment_name(), spec }).await;
        self.apply().await;
    }

    /// A version of the one workload: the same roles, some of them with other content.
    fn workload(&self, version: u64) -> Arc<Workload> {
        let mut rng = Rng::with_seed(self.shape);
        let roles = rng.usize(2..10);
        Arc::new(generate::workload(&mut rng, roles, version))
    }

    /// The operator goes over to another version.
    pub(crate) async fn change_version(&self, version: u64) {
        let workload = self.workload(version);
        let digest = workload.digest;
        self.ask(Command::ImportWorkload { workload }).await;
        let change = self.audit.read(|world, _| operator::members(world, |spec| spec.workload = digest));
        if let Some(change) = change {
            self.ask(change).await;
        }
    }

    /// Everything that goes wrong, each thing at its time.
    async fn weather(self: &Arc<Self>) {
        let mut acts = JoinSet::new();
        for act in nemesis::acts(&self.chance) {
            acts.spawn(nemesis::play(self.clone(), act));
        }
        sleep(STORM).await;
        while let Some(played) = acts.join_next().await {
            assert!(played.is_ok(), "{played:?}");
        }
    }

    /// Faults stop, lost nodes are given up, failures are retried: then everything that is wanted has to be active.
    async fn calm(&self) {
        self.chance.calm();
        self.database.away.store(false, Ordering::Relaxed);
        for at in 0..self.engines.count() {
            self.engines.set_clock(at, 0);
            self.engines.set_pulse(at, Pulse::Running);
        }
        self.quiet().await;
        self.assert_explained();
        for node in self.gone() {
            let gone = self.audit.read(|world, _| operator::gone(world, node));
            self.insist(gone).await;
        }
        for _ in 0..6 {
            let deployment = deployment_name();
            self.insist(Command::ResetBreaker { deployment: deployment.clone(), probe: false }).await;
            self.insist(Command::Resume { deployment: deployment.clone() }).await;
            self.insist(Command::Retry { deployment, ids: Vec::new() }).await;
            self.apply().await;
            self.quiet().await;
        }
        self.assert_settled();
        let before = self.audit.read(|_, history| history.len());
        self.apply().await;
        self.quiet().await;
        let ran = self.audit.read(|_, history| {
            history[before..].iter().filter(|it| matches!(it.change, Change::AttemptPut { .. })).count()
        });
        assert_eq!(ran, 0, "a second apply ran something");
        self.assert_said().await;
        self.assert_followed().await;
        self.audit.assert_sealed();
    }

    /// The time, for those who have no clock of their own.
    pub(crate) fn now(&self) -> Timestamp {
        self.engines.now()
    }

    /// Has an engine that leads do something; says nothing of how it went.
    pub(crate) async fn ask(&self, command: Command) {
        self.audit.named(operator::named(&command));
        if let Some(handle) = self.engines.leader() {
            let _ = timeout(ANSWER, handle.command(operator::actor(), command)).await;
        }
    }

    /// Has an engine do something, until one has done or refused it.
    async fn insist(&self, command: Command) {
        self.audit.named(operator::named(&command));
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(handle) = self.engines.leader() {
                let answer = timeout(ANSWER, handle.command(operator::actor(), command.clone())).await;
                if let Ok(Ok(()) | Err(EngineError::Refused(_))) = answer {
                    return;
                }
            }
            sleep(LOOK).await;
        }
        panic!("no engine does what it is asked: {command:?}");
    }

    async fn apply(&self) {
        let wish = self.audit.read(|world, _| operator::apply(world, Care::Names));
        if let Some(command) = wish {
            self.insist(command).await;
        }
    }

    /// Starts the agent of a machine that is there.
    pub(crate) fn start_agent(&self, node: &NodeName) {
        let mut machines = self.machines();
        let Some(hosted) = machines.get_mut(node).filter(|it| !it.gone) else { return };
        if let Some(before) = hosted.agent.take() {
            before.abort();
        }
        let agent = Agent::new(hosted.machine.clone(), self.network.clone(), self.engines.clone());
        hosted.agent = Some(tokio::spawn(agent.run()));
    }

    /// Kills the agent of a machine; attempts go on.
    pub(crate) fn kill_agent(&self, node: &NodeName) {
        if let Some(hosted) = self.machines().get_mut(node)
            && let Some(agent) = hosted.agent.take()
        {
            agent.abort();
        }
    }

    /// Cuts the power of a machine.
    pub(crate) fn lose_power(&self, node: &NodeName) {
        self.kill_agent(node);
        if let Some(hosted) = self.machines().get(node) {
            hosted.machine.lose_power();
        }
    }

    /// Loses a machine for good; false for one of the last.
    pub(crate) fn lose(&self, node: &NodeName) -> bool {
        if self.machines().values().filter(|it| !it.gone).count() <= 3 {
            return false;
        }
        self.lose_power(node);
        self.audit.gone(node);
        if let Some(hosted) = self.machines().get_mut(node) {
            hosted.gone = true;
        }
        true
    }

    /// The machines that are there.
    pub(crate) fn there(&self) -> Vec<NodeName> {
        self.machines().iter().filter(|(_, it)| !it.gone).map(|(name, _)| name.clone()).collect()
    }

    fn gone(&self) -> Vec<NodeName> {
        self.machines().iter().filter(|(_, it)| it.gone).map(|(name, _)| name.clone()).collect()
    }

    fn summary(&self, took: Duration) -> Summary {
        let attempts = self.audit.begun();
        self.audit.read(|_: &World, history| Summary {
            history: Digest::of_json(&history),
            changes: history.len(),
            attempts,
            took,
        })
    }
}
