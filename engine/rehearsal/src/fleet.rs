//! All simulated machines, and the faults that hit machines: which ones they hit, when, and how the machines come back.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rebar_model::{GroupName, NodeName, Span};
use rebar_ports::{AgentDoor, SessionId};

use crate::{
    Amount, FaultKind,
    agent::{House, Machine},
    limits::RETURN_SPREAD,
};

/// All simulated machines. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Fleet {
    house: Arc<House>,
    machines: Arc<BTreeMap<NodeName, Arc<Machine>>>,
    /// How many machines are away and will come back by themselves.
    returning: Arc<AtomicUsize>,
}

impl Fleet {
    pub fn new(house: Arc<House>) -> Self {
        let mut slow: BTreeMap<NodeName, (usize, f64)> = BTreeMap::new();
        for (place, fault) in house.scenario.faults.iter().enumerate() {
            if let FaultKind::Slow { group, amount, factor } = &fault.kind {
                for node in hit(&house, place, group.as_ref(), *amount) {
                    house.tally.node(place, &node, &[]);
                    slow.insert(node, (place, *factor));
                }
            }
        }
        let machines = house.scenario.nodes.iter().map(|node| {
            let machine = Machine::new(node.clone(), slow.get(&node.name).copied(), house.clone());
            (node.name.clone(), machine)
        });
        let machines = Arc::new(machines.collect());
        Self { house, machines, returning: Arc::default() }
    }

    /// Every agent comes, and reports.
    pub async fn arrive(&self) {
        for machine in self.machines.values() {
            machine.dial().await;
            machine.report_facts().await;
        }
    }

    /// How many machines are away and will come back by themselves.
    pub fn returning(&self) -> usize {
        self.returning.load(Ordering::Relaxed)
    }

    /// Sets the faults of machines going; they hit so long after now.
    pub fn haunt(&self) {
        for (place, fault) in self.house.scenario.faults.iter().enumerate() {
            match &fault.kind {
                FaultKind::Lose { group, amount, at } => {
                    let hit = self.hit(place, group.as_ref(), *amount);
                    tokio::spawn(self.clone().lose(place, hit, *at));
                }
                FaultKind::Cut { group, amount, at, lasts } => {
                    let hit = self.hit(place, group.as_ref(), *amount);
                    tokio::spawn(self.clone().cut(place, hit, *at, *lasts));
                }
                FaultKind::Attempts { .. } | FaultKind::Slow { .. } | FaultKind::Restart { .. } => {}
            }
        }
    }

    fn hit(&self, place: usize, group: Option<&GroupName>, amount: Amount) -> Vec<Arc<Machine>> {
        hit(&self.house, place, group, amount).iter().filter_map(|it| self.machines.get(it).cloned()).collect()
    }

    async fn lose(self, place: usize, machines: Vec<Arc<Machine>>, at: Span) {
        self.house.clock.sleep(at).await;
        self.house.tally.happened(place);
        let mut dead = Vec::new();
        for machine in machines.into_iter().filter(|it| !it.is_lost()) {
            self.house.tally.node(place, machine.name(), &machine.running());
            dead.push((machine.clone(), machine.lose()));
        }
        self.house.clock.sleep(self.house.scenario.silence).await;
        self.missed(dead).await;
    }

    async fn cut(self, place: usize, machines: Vec<Arc<Machine>>, at: Span, lasts: Span) {
        self.house.clock.sleep(at).await;
        self.house.tally.happened(place);
        let machines: Vec<_> = machines.into_iter().filter(|it| !it.is_lost()).collect();
        let mut silent = Vec::new();
        for machine in &machines {
            self.returning.fetch_add(1, Ordering::Relaxed);
            self.house.tally.node(place, machine.name(), &machine.running());
            silent.push((machine.clone(), machine.cut()));
        }
        let silence = self.house.scenario.silence;
        if lasts > silence {
            self.house.clock.sleep(silence).await;
            self.missed(silent).await;
            self.house.clock.sleep(Span::from_millis(lasts.as_millis() - silence.as_millis())).await;
        } else {
            self.house.clock.sleep(lasts).await;
        }
        self.come_back(machines, Span::default());
    }

    /// The engine notices that it has not heard of some agents.
    async fn missed(&self, silent: Vec<(Arc<Machine>, Option<SessionId>)>) {
        for (machine, session) in silent {
            let door = self.house.door.borrow().clone();
            if let (Some(door), Some(session)) = (door, session) {
                // An engine that is away notices by itself when it is back.
                let _ = door.disconnected(machine.name(), session).await;
            }
        }
    }

    /// Every link breaks, for the engine is gone; they are taken up again when it is back.
    pub fn hang_up(&self, fault: usize) -> Vec<Arc<Machine>> {
        let machines: Vec<_> = self.machines.values().filter(|it| it.cut().is_some()).cloned().collect();
        for it in &machines {
            self.house.tally.node(fault, it.name(), &it.running());
        }
        self.returning.fetch_add(machines.len(), Ordering::Relaxed);
        machines
    }

    /// Machines dial again, each at its own moment within a time.
    pub fn come_back(&self, machines: Vec<Arc<Machine>>, within: Span) {
        for machine in machines {
            let wait = self.house.scenario.chance().unit("return", &[machine.name()]);
            let (fleet, wait) = (self.clone(), crate::duration::scaled(within, wait));
            tokio::spawn(async move {
                fleet.house.clock.sleep(wait).await;
                machine.dial().await;
                fleet.returning.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }

    /// How long the agents take to come back to a new engine.
    pub const fn return_spread() -> Span {
        RETURN_SPREAD
    }
}

/// The nodes that a fault hits: always the same ones for a seed.
fn hit(house: &House, place: usize, group: Option<&GroupName>, amount: Amount) -> Vec<NodeName> {
    let scenario = &house.scenario;
    let mut names: Vec<&NodeName> = match group {
        Some(group) => scenario.groups.get(group).into_iter().flatten().collect(),
        None => scenario.nodes.iter().map(|it| &it.name).collect(),
    };
    names.sort_by_cached_key(|it| scenario.chance().number("hit", &[&place, it]));
    names.truncate(amount.of(names.len()));
    names.into_iter().cloned().collect()
}
