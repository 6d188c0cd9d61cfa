//! The engines: two processes on one database, as `rebar serve` runs them. One leads, one stands by; a process that ends is started
//! again by whoever looks after the machine.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use rebar_gateway::{Limits, Sessions};
use rebar_model::World;
use rebar_orchestrator::{Engine, Handle, Ports, Standby};
use rebar_ports::Store;
use rebar_services::Ipam;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    audit::Audit,
    chance::Chance,
    clock::{ProcessClock, SimClock, SimEntropy},
    gate::{Gate, Pulse},
    network::Far,
    service::Addresses,
    store::{Database, SimStore},
};

/// How long a process that ended stays away.
const RESTART: std::ops::Range<u64> = 100..4_000;

/// The engines.
pub(crate) struct Engines {
    hosts: Vec<Host>,
    database: Database,
    audit: Audit,
    chance: Chance,
}

/// A machine that runs an engine.
struct Host {
    name: String,
    clock: Arc<SimClock>,
    process: Mutex<Process>,
}

/// A process; a new one has a new pulse.
struct Process {
    gate: Gate,
    leads: Option<Leads>,
    stands_by: Option<Handle>,
}

impl Process {
    /// Nobody is let in any more.
    fn shut(&mut self) {
        self.leads = None;
        self.stands_by = None;
    }
}

/// What is open while an engine leads.
#[derive(Clone)]
struct Leads {
    handle: Handle,
    sessions: Arc<Sessions>,
}

impl Host {
    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engines {
    /// So many engines, none of which runs yet.
    pub(crate) fn new(count: usize, database: Database, audit: Audit, chance: Chance) -> Arc<Self> {
        let start = Instant::now();
        let host = |at: usize| Host {
            name: format!("engine-{at}"),
            clock: Arc::new(SimClock::new(start)),
            process: Mutex::new(Process { gate: Gate::new(), leads: None, stands_by: None }),
        };
        Arc::new(Self { hosts: (0..count).map(host).collect(), database, audit, chance })
    }

    pub(crate) fn count(&self) -> usize {
        self.hosts.len()
    }

    /// Starts a process. When it dies, somebody starts the next.
    pub(crate) fn start(self: &Arc<Self>, at: usize) {
        let gate = Gate::new();
        let mut process = self.hosts[at].process();
        process.gate = gate.clone();
        let live = tokio::spawn(self.clone().live(at, gate.clone()));
        tokio::spawn(self.clone().revive(at, gate, live));
    }

    async fn revive(self: Arc<Self>, at: usize, gate: Gate, live: JoinHandle<()>) {
        gate.death().await;
        live.abort();
        let _ = live.await;
        self.hosts[at].process().shut();
        self.chance.pause(RESTART).await;
        self.start(at);
    }

    /// Freezes, thaws or kills a process.
    pub(crate) fn set_pulse(&self, at: usize, pulse: Pulse) {
        self.hosts[at].process().gate.set(pulse);
    }

    /// Sets a machine's clock so far from the true time.
    pub(crate) fn set_clock(&self, at: usize, skew_ms: i64) {
        self.hosts[at].clock.set(skew_ms);
    }

    /// The agents' door of one engine, when it leads.
    pub(crate) fn door(&self, turn: usize) -> Option<Far> {
        let process = self.hosts[turn % self.hosts.len()].process();
        let Leads { sessions, .. } = process.leads.clone()?;
        (process.gate.pulse() == Pulse::Running).then(|| Far { gate: process.gate.clone(), sessions })
    }

    /// An engine that thinks that it leads, and runs.
    pub(crate) fn leader(&self) -> Option<Handle> {
        self.hosts.iter().find_map(|host| {
            let process = host.process();
            let running = process.gate.pulse() == Pulse::Running;
            process.leads.as_ref().filter(|_| running).map(|it| it.handle.clone())
        })
    }

    /// An engine that stands by, and runs.
    pub(crate) fn standby(&self) -> Option<Handle> {
        self.hosts.iter().find_map(|host| host.process().stands_by.clone())
    }

    /// A process, as `rebar serve` is one: it leads or stands by until it dies. One that cannot begin is started again.
    async fn live(self: Arc<Self>, at: usize, gate: Gate) {
        let host = &self.hosts[at];
        let store = Arc::new(SimStore {
            database: self.database.clone(),
            audit: self.audit.clone(),
            chance: self.chance.clone(),
            gate: gate.clone(),
        });
        // An engine that led under this name is dead: its lease need not run out first.
        while store.resign(&host.name).await.is_err() {
            self.chance.pause(RESTART).await;
        }
        let mut known = None;
        loop {
            let served = self.serve(host, &gate, &store, known.clone()).await;
            known = served.or(known);
            host.process().shut();
            gate.pass().await;
            self.chance.pause(500..1_500).await;
        }
    }

    /// Stands by, then leads, to the end: the World as it was then.
    async fn serve(&self, host: &Host, gate: &Gate, store: &Arc<SimStore>, known: Option<World>) -> Option<World> {
        let stop = CancellationToken::new();
        let mut ports = self.ports(host, gate, store);
        let standby = Standby::start(ports.clone(), known).await.ok()?;
        host.process().stands_by = Some(standby.handle());
        standby.lead(&stop).await?;
        host.process().stands_by = None;
        let ipam = Ipam::start(store.clone()).await.ok()?;
        ports.services = vec![Arc::new(Addresses::new(ipam, self.chance.clone()))];
        let clock = ports.clock.clone();
        let engine = Engine::start(ports, stop.clone()).await.ok()?;
        let handle = engine.handle();
        let (door, tasks) = (Arc::new(handle.clone()), TaskTracker::new());
        let sessions = Arc::new(Sessions::new(door, clock, Limits::default(), tasks, stop));
        host.process().leads = Some(Leads { handle: handle.clone(), sessions });
        engine.join().await;
        Some(handle.read(World::clone))
    }

    fn ports(&self, host: &Host, gate: &Gate, store: &Arc<SimStore>) -> Ports {
        Ports {
            store: store.clone(),
            logs: store.clone(),
            blobs: store.clone(),
            vault: store.clone(),
            clock: Arc::new(ProcessClock { clock: host.clock.clone(), gate: gate.clone() }),
            entropy: Arc::new(SimEntropy(self.chance.clone())),
            services: Vec::new(),
            listings: BTreeMap::new(),
            providers: BTreeMap::new(),
            advertise: String::new(),
            ca_fingerprint: String::new(),
            release_keys: Vec::new(),
            holder: host.name.clone(),
        }
    }

    /// The time on the first engine's machine.
    pub(crate) fn now(&self) -> Timestamp {
        self.hosts[0].clock.now()
    }
}
