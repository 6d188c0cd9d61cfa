//! What goes wrong at its own times: processes are killed and frozen, machines lose power, links go dark, clocks are set, the store is
//! away; and operators have whims. Everything but a loss for good is mended again by who did it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::sleep;

use crate::{chance::Chance, gate::Pulse, operator, sim::Sim};

/// How long the storm lasts.
pub(crate) const STORM: Duration = Duration::from_mins(2);

/// Something that happens at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Act {
    at: Duration,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// The operator has a whim.
    Whim,
    /// A machine is lost for good.
    Loss,
    /// The workload comes in another version.
    Version(u64),
    Strike(Strike),
}

#[derive(Debug, Clone, Copy)]
enum Strike {
    KillEngine,
    FreezeEngine,
    SetClock,
    KillAgent,
    LosePower,
    Darken,
    BreakAll,
    StoreAway,
}

const STRIKES: [Strike; 8] = [
    Strike::KillEngine,
    Strike::FreezeEngine,
    Strike::SetClock,
    Strike::KillAgent,
    Strike::LosePower,
    Strike::Darken,
    Strike::BreakAll,
    Strike::StoreAway,
];

/// What will happen, drawn.
pub(crate) fn acts(chance: &Chance) -> Vec<Act> {
    let faults = chance.faults();
    let storm = u64::try_from(STORM.as_millis()).unwrap_or(u64::MAX);
    let mut acts = Vec::new();
    let mut add = |count: u32, until: u64, what: fn(&mut Rng) -> What| {
        for _ in 0..count {
            acts.push(Act { at: chance.span(0..until), what: chance.draw(what) });
        }
    };
    add(faults.whims, storm, |_| What::Whim);
    add(faults.losses, storm / 2, |_| What::Loss);
    add(faults.whims / 6, storm, |rng| What::Version(rng.u64(1..4)));
    add(faults.strikes, storm, |rng| What::Strike(rng.choice(STRIKES).unwrap_or(Strike::BreakAll)));
    acts
}

/// Plays one act, to its end.
pub(crate) async fn play(sim: Arc<Sim>, act: Act) {
    sleep(act.at).await;
    match act.what {
        What::Whim => {
            let Some(handle) = sim.engines.leader() else { return };
            let whim = sim.chance.draw(|rng| handle.read(|world| operator::whim(rng, world)));
            for command in whim {
                sim.ask(command).await;
            }
        }
        What::Loss => {
            let there = sim.there();
            let Some(node) = sim.chance.draw(|rng| rng.choice(there)) else { return };
            // An operator may see it at once.
            if sim.lose(&node) && sim.chance.hits(1, 2) {
                let gone = sim.audit.read(|world, _| operator::gone(world, node));
                sim.ask(gone).await;
            }
        }
        What::Version(version) => sim.change_version(version).await,
        What::Strike(strike) => strike.play(&sim).await,
    }
}

impl Strike {
    async fn play(self, sim: &Arc<Sim>) {
        match self {
            Self::KillEngine | Self::FreezeEngine | Self::SetClock => self.strike_engine(sim).await,
            Self::KillAgent | Self::LosePower | Self::Darken => self.strike_node(sim).await,
            Self::BreakAll => sim.network.break_all(),
            Self::StoreAway => {
                sim.database.away.store(true, Ordering::Relaxed);
                sim.chance.pause(50..8_000).await;
                sim.database.away.store(false, Ordering::Relaxed);
            }
        }
    }

    async fn strike_engine(self, sim: &Arc<Sim>) {
        let at = sim.chance.draw(|rng| rng.usize(..sim.engines.count()));
        match self {
            Self::KillEngine => sim.engines.set_pulse(at, Pulse::Dead),
            Self::FreezeEngine => {
                sim.engines.set_pulse(at, Pulse::Frozen);
                sim.chance.pause(100..20_000).await;
                sim.engines.set_pulse(at, Pulse::Running);
            }
            _ => {
                let skew = sim.chance.draw(|rng| rng.i64(-100_000..100_000));
                sim.engines.set_clock(at, skew);
                sim.chance.pause(100..30_000).await;
                sim.engines.set_clock(at, 0);
            }
        }
    }

    async fn strike_node(self, sim: &Arc<Sim>) {
        let there = sim.there();
        let Some(node) = sim.chance.draw(|rng| rng.choice(there)) else { return };
        match self {
            Self::KillAgent => {
                sim.kill_agent(&node);
                sim.chance.pause(10..10_000).await;
                sim.start_agent(&node);
            }
            Self::LosePower => {
                sim.lose_power(&node);
                sim.chance.pause(1_000..30_000).await;
                sim.start_agent(&node);
            }
            _ => {
                sim.network.darken(&node, true);
                sim.chance.pause(100..40_000).await;
                sim.network.darken(&node, false);
            }
        }
    }
}
