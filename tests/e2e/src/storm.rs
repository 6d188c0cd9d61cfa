//! Storms: faults at moments that a seed draws, several at a time, each ended after a while. Equal seeds give equal timelines; what a
//! timeline meets is up to the machine.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{AgentProcess, House, Line, Network, Weather};

/// Replays the storm of a seed.
const SEED: &str = "REBAR_E2E_SEED";
/// The storm of every day.
const DEFAULT_SEED: u64 = 20_260_701;

/// In which time faults begin.
const LENGTH: Duration = Duration::from_secs(8);
/// How many are drawn; those that find their victim busy are left out.
const DRAWN: usize = 9;
/// Most faults are over soon.
const SHORT: (u64, u64) = (50, 1_500);
/// Some are longer than a lease.
const MEDIUM: (u64, u64) = (1_500, 5_000);
/// One is longer than an agent or an engine waits for a silent other side.
const LONG: (u64, u64) = (13_000, 16_000);
/// Between two looks at what ended by itself.
const LOOK: Duration = Duration::from_millis(50);
/// After an engine ended by itself it is started again, as an init system does.
const RESPAWN: Duration = Duration::from_millis(500);

/// What a fault happens to. Nothing has two at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Engine(usize),
    Agent(usize),
    Database,
    /// An engine's own way to its database.
    Wire(usize),
    Cable(usize),
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Harm {
    /// Killed, and started again.
    Killed,
    /// Frozen, and let go on.
    Frozen,
    /// One process of a server is killed; it recovers by itself.
    Crashed,
    /// The link is down, and up again.
    Cut,
    /// Slow, lossy, or silent.
    Weather(Weather),
    /// A wire is broken, or silent.
    Line(Line),
}

#[derive(Debug, Clone, Copy)]
struct Fault {
    victim: Victim,
    harm: Harm,
    from: Duration,
    to: Duration,
}

/// The seed of this run: the one that the environment says, or that of every day.
pub fn seed() -> u64 {
    let seed = match std::env::var(SEED) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{SEED}={text}: {error}")),
        Err(_) => DEFAULT_SEED,
    };
    eprintln!("{SEED}={seed}");
    seed
}

/// A storm over engines, their agents and what is between them.
pub struct Storm {
    rng: fastrand::Rng,
}

impl Storm {
    /// The storms of a seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed) }
    }

    /// Rages for a while, and leaves everything as it was. A long one has a fault that outlasts the patience of both sides.
    pub fn rage(&mut self, houses: &mut [House], agents: &mut [AgentProcess], network: &Network, long: bool) {
        let faults = self.draw(houses, agents.len(), long);
        for Fault { victim, harm, from, to } in &faults {
            eprintln!("{:>6} ms to {:>6} ms: {victim:?} {harm:?}", from.as_millis(), to.as_millis());
        }
        let mut steps: Vec<_> = faults.iter().flat_map(|it| [(it.from, it, true), (it.to, it, false)]).collect();
        steps.sort_by_key(|(at, ..)| *at);
        let start = Instant::now();
        let mut ended = vec![None; houses.len()];
        for (at, fault, begins) in steps {
            while start.elapsed() < at {
                for (house, ended) in houses.iter_mut().zip(&mut ended) {
                    keep(house, ended);
                }
                thread::sleep(LOOK.min(at.saturating_sub(start.elapsed())));
            }
            if begins { begin(fault, houses, agents, network) } else { end(fault, houses, agents, network) }
        }
        for house in houses {
            if house.engine_ended().is_some() {
                house.start_engine();
            }
        }
    }

    fn draw(&mut self, houses: &[House], machines: usize, long: bool) -> Vec<Fault> {
        let mut faults: Vec<Fault> = Vec::new();
        if long {
            let (engine, machine) = (self.rng.usize(..houses.len()), self.rng.usize(..machines));
            let mut quiet = vec![
                (Victim::Engine(engine), Harm::Frozen),
                (Victim::Agent(machine), Harm::Frozen),
                (Victim::Cable(machine), Harm::Cut),
                (Victim::Cable(machine), Harm::Weather(Weather::SILENT)),
            ];
            if houses[engine].wire().is_some() {
                quiet.push((Victim::Wire(engine), Harm::Line(Line::Silent)));
                quiet.push((Victim::Wire(engine), Harm::Line(Line::Broken)));
            }
            let (victim, harm) = quiet[self.rng.usize(..quiet.len())];
            faults.push(self.when(victim, harm, LONG));
        }
        for _ in 0..DRAWN {
            let (victim, harm) = self.what(houses, machines);
            let range = if self.rng.u8(..4) == 0 { MEDIUM } else { SHORT };
            let fault = self.when(victim, harm, range);
            let is_free = |it: &Fault| it.victim != fault.victim || it.to < fault.from || fault.to < it.from;
            if faults.iter().all(is_free) {
                faults.push(fault);
            }
        }
        faults
    }

    fn what(&mut self, houses: &[House], machines: usize) -> (Victim, Harm) {
        let (engine, machine) = (self.rng.usize(..houses.len()), self.rng.usize(..machines));
        let mut victims = vec![Victim::Engine(engine), Victim::Agent(machine), Victim::Cable(machine)];
        if houses[engine].has_server() {
            victims.push(Victim::Database);
        }
        if houses[engine].wire().is_some() {
            victims.push(Victim::Wire(engine));
        }
        let victim = victims[self.rng.usize(..victims.len())];
        let delay = Duration::from_millis(self.rng.u64(20..200));
        let bad = Weather { delay, loss: self.rng.f64() * 0.2, ..Weather::default() };
        let harms: &[Harm] = match victim {
            Victim::Engine(_) | Victim::Agent(_) => &[Harm::Killed, Harm::Frozen],
            Victim::Database => &[Harm::Killed, Harm::Frozen, Harm::Crashed],
            Victim::Wire(_) => &[Harm::Line(Line::Silent), Harm::Line(Line::Broken)],
            Victim::Cable(_) => &[Harm::Cut, Harm::Weather(Weather::SILENT), Harm::Weather(bad)],
        };
        (victim, harms[self.rng.usize(..harms.len())])
    }

    fn when(&mut self, victim: Victim, harm: Harm, (least, most): (u64, u64)) -> Fault {
        let from = LENGTH.mul_f64(self.rng.f64());
        Fault { victim, harm, from, to: from + Duration::from_millis(self.rng.u64(least..most)) }
    }
}

/// Starts an engine again that ended by itself, as one does that finds no database at its start.
fn keep(house: &mut House, ended: &mut Option<Instant>) {
    match (house.engine_ended(), *ended) {
        (None, _) => *ended = None,
        (Some(_), None) => *ended = Some(Instant::now()),
        (Some(_), Some(since)) if since.elapsed() > RESPAWN => {
            *ended = None;
            house.spawn_engine();
        }
        (Some(_), Some(_)) => {}
    }
}

fn begin(fault: &Fault, houses: &mut [House], agents: &mut [AgentProcess], network: &Network) {
    match (fault.victim, fault.harm) {
        (Victim::Engine(engine), Harm::Killed) => houses[engine].kill_engine(),
        (Victim::Engine(engine), _) if houses[engine].engine_ended().is_some() => {}
        (Victim::Engine(engine), _) => houses[engine].freeze_engine(),
        (Victim::Agent(machine), Harm::Killed) => agents[machine].kill(),
        (Victim::Agent(machine), _) => agents[machine].freeze(),
        (Victim::Database, Harm::Killed) => houses[0].server().kill().unwrap_or_else(|error| panic!("{error:#}")),
        // It may be serving nobody at this moment.
        (Victim::Database, Harm::Crashed) => drop(houses[0].server().crash()),
        (Victim::Database, _) => houses[0].server().freeze().unwrap_or_else(|error| panic!("{error:#}")),
        (Victim::Wire(engine), Harm::Line(line)) => set(&houses[engine], line),
        (Victim::Wire(engine), _) => set(&houses[engine], Line::Broken),
        (Victim::Cable(machine), Harm::Weather(weather)) => network.port(machine).set(weather),
        (Victim::Cable(machine), _) => network.port(machine).cut(),
    }
}

fn end(fault: &Fault, houses: &mut [House], agents: &mut [AgentProcess], network: &Network) {
    match (fault.victim, fault.harm) {
        (Victim::Engine(engine), Harm::Killed) => houses[engine].spawn_engine(),
        (Victim::Engine(engine), _) if houses[engine].engine_ended().is_some() => {}
        (Victim::Engine(engine), _) => houses[engine].thaw_engine(),
        (Victim::Agent(machine), Harm::Killed) => agents[machine].restart(),
        (Victim::Agent(machine), _) => agents[machine].thaw(),
        (Victim::Database, Harm::Killed) => houses[0].server().restart().unwrap_or_else(|error| panic!("{error:#}")),
        (Victim::Database, Harm::Crashed) => {}
        (Victim::Database, _) => houses[0].server().thaw().unwrap_or_else(|error| panic!("{error:#}")),
        (Victim::Wire(engine), _) => set(&houses[engine], Line::Open),
        (Victim::Cable(machine), Harm::Weather(_)) => network.port(machine).set(Weather::default()),
        (Victim::Cable(machine), _) => network.port(machine).mend(),
    }
}

fn set(house: &House, line: Line) {
    house.wire().unwrap_or_else(|| panic!("this engine has no wire")).set(line);
}
