//! The simulated clock: time stands still while anything can go on, and jumps to the next sleeper when nothing can. The runtime of
//! the rehearsal tells when that is: it is about to park its one thread.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use jiff::Timestamp;
use rebar_model::Span;
use rebar_ports::Clock;

/// Where every rehearsal begins: equal seeds give equal reports to the second.
const BEGIN: Timestamp = Timestamp::constant(946_684_800, 0);

/// Simulated time.
#[derive(Debug)]
pub(crate) struct SimulatedClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    goes: bool,
    last: u64,
    sleepers: BTreeMap<(Timestamp, u64), Waker>,
}

impl SimulatedClock {
    /// A clock that stands still.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { now: BEGIN, goes: false, last: 0, sleepers: BTreeMap::new() }) })
    }

    /// A runtime of one thread that moves this clock whenever nothing else can go on.
    pub fn runtime(self: &Arc<Self>) -> std::io::Result<tokio::runtime::Runtime> {
        let clock = self.clone();
        tokio::runtime::Builder::new_current_thread().on_thread_park(move || clock.advance()).build()
    }

    /// Lets time go on, or holds it.
    pub fn go(&self, goes: bool) {
        self.lock().goes = goes;
    }

    /// Jumps to the next sleepers and wakes them, in the order in which they lay down.
    fn advance(&self) {
        let woken = {
            let mut state = self.lock();
            let Some((at, _)) = state.sleepers.first_key_value().map(|(key, _)| *key) else { return };
            if at > state.now {
                if !state.goes {
                    return;
                }
                state.now = at;
            }
            let now = state.now;
            let later = state.sleepers.split_off(&(now, u64::MAX));
            std::mem::replace(&mut state.sleepers, later)
        };
        woken.into_values().for_each(Waker::wake);
    }

    /// Resolves after a while.
    pub async fn sleep(&self, span: Span) {
        self.sleep_until(span.after(self.now())).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    async fn sleep_until(&self, at: Timestamp) {
        Sleep { clock: self, at, place: None }.await;
    }
}

struct Sleep<'a> {
    clock: &'a SimulatedClock,
    at: Timestamp,
    place: Option<u64>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.lock();
        if state.now >= self.at {
            return Poll::Ready(());
        }
        let place = self.place.unwrap_or_else(|| {
            state.last += 1;
            state.last
        });
        state.sleepers.insert((self.at, place), context.waker().clone());
        drop(state);
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.clock.lock().sleepers.remove(&(self.at, place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_pass_at_once_and_in_order() {
        let clock = SimulatedClock::new();
        clock.go(true);
        let seen = clock.runtime().unwrap().block_on(async {
            let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
            for hours in [3_u64, 1, 2] {
                let (clock, told) = (clock.clone(), told.clone());
                tokio::spawn(async move {
                    clock.sleep(Span::from_secs(hours * 3_600)).await;
                    told.send((hours, clock.now())).unwrap();
                });
            }
            let mut seen = Vec::new();
            for _ in 0..3 {
                seen.push(heard.recv().await.unwrap());
            }
            seen
        });
        let at = |hours: u64| (hours, Span::from_secs(hours * 3_600).after(BEGIN));
        assert_eq!(seen, [at(1), at(2), at(3)]);
    }

    #[test]
    fn a_held_clock_stands_still_until_it_goes() {
        let clock = SimulatedClock::new();
        let runtime = clock.runtime().unwrap();
        let (asked, answer) = tokio::sync::oneshot::channel();
        let waits = clock.clone();
        std::thread::spawn(move || {
            // From another thread, as the command line does it.
            waits.go(true);
            asked.send(()).unwrap();
        });
        runtime.block_on(async {
            let sleeper = clock.clone();
            let slept = tokio::spawn(async move { sleeper.sleep(Span::from_secs(60)).await });
            answer.await.unwrap();
            slept.await.unwrap();
        });
        assert_eq!(clock.now(), Span::from_secs(60).after(BEGIN));
    }
}
