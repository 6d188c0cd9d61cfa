//! Chance and what goes wrong by it: one generator for a whole simulation, so that one seed gives one history. When something goes
//! wrong is decided in the file of what goes wrong.

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fastrand::Rng;

/// How much goes wrong. All zero means that nothing does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Attempts that fail, of a hundred.
    pub failures: u32,
    /// Messages after which a connection breaks, of a thousand.
    pub drops: u32,
    /// Messages that are said twice, of a hundred.
    pub doubles: u32,
    /// Calls of the store that fail, of a thousand: half of them after the store has done what was asked.
    pub store: u32,
    /// Writes of an agent's disk that fail, of a thousand.
    pub disk: u32,
    /// What a nemesis does to engines, agents, machines, links and clocks in the whole run.
    pub strikes: u32,
    /// Whims of the operator in the whole run.
    pub whims: u32,
    /// Nodes that vanish for good.
    pub losses: u32,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self =
        Self { failures: 0, drops: 0, doubles: 0, store: 0, disk: 0, strikes: 0, whims: 0, losses: 0 };
    /// Everything goes wrong.
    pub const STORM: Self =
        Self { failures: 20, drops: 10, doubles: 10, store: 15, disk: 5, strikes: 14, whims: 12, losses: 1 };
}

/// Chance, shared by everything in one simulation.
#[derive(Clone)]
pub(crate) struct Chance {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    rng: Rng,
    faults: Faults,
}

impl Chance {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { rng: Rng::with_seed(seed), faults })) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much goes wrong now.
    pub(crate) fn faults(&self) -> Faults {
        self.lock().faults
    }

    /// From now on nothing goes wrong.
    pub(crate) fn calm(&self) {
        self.lock().faults = Faults::NONE;
    }

    /// Draws with the generator itself.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.lock().rng)
    }

    /// Whether one of `of` cases is there.
    pub(crate) fn hits(&self, cases: u32, of: u32) -> bool {
        cases > 0 && self.draw(|rng| rng.u32(..of)) < cases
    }

    /// A number in a range; its start when it is empty.
    pub(crate) fn between(&self, range: Range<u64>) -> u64 {
        if range.is_empty() { range.start } else { self.draw(|rng| rng.u64(range)) }
    }

    /// A time in a range of milliseconds.
    pub(crate) fn span(&self, millis: Range<u64>) -> Duration {
        Duration::from_millis(self.between(millis))
    }

    /// Takes a while.
    pub(crate) async fn pause(&self, millis: Range<u64>) {
        tokio::time::sleep(self.span(millis)).await;
    }
}
