//! A rehearsal from its beginning to its end, on a thread of its own: time stands still until it begins and again when it is over, so
//! that whoever looks at the engine through its handle disturbs nothing.

use std::{collections::VecDeque, sync::Arc, thread::JoinHandle};

use jiff::Timestamp;
use rebar_model::{Digest, Span};
use rebar_orchestrator::Handle;
use rebar_ports::Clock;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    FaultKind, RehearsalError, Report, Scenario,
    clock::SimulatedClock,
    fleet::Fleet,
    limits::{LOOK, MAX_LENGTH},
    report,
    stage::Stage,
};

/// A rehearsal: furnished, and then run once.
pub struct Rehearsal {
    clock: Arc<SimulatedClock>,
    door: watch::Receiver<Option<Handle>>,
    token: String,
    accept: Option<oneshot::Sender<Accepted>>,
    go: Arc<Notify>,
    reported: oneshot::Receiver<Result<Report, RehearsalError>>,
    over: CancellationToken,
    /// Cancelled when nobody looks any more.
    leave: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Rehearsal {
    /// An engine with everything that the scenario names; nothing is planned and nothing runs yet.
    pub async fn prepare(scenario: Scenario) -> Result<Self, RehearsalError> {
        scenario.check()?;
        let clock = SimulatedClock::new();
        let token = Digest::of(&scenario.chance().bytes("operator", &[])).to_string();
        let (door, seen) = watch::channel(None);
        let (furnished, ready) = oneshot::channel();
        let (accept, asked) = oneshot::channel();
        let go = Arc::new(Notify::new());
        let (report, reported) = oneshot::channel();
        let (over, leave) = (CancellationToken::new(), CancellationToken::new());
        let play = Play {
            furnished,
            asked,
            go: go.clone(),
            report,
            over: over.clone(),
            leave: leave.clone(),
            token: token.clone(),
        };
        let runtime = clock.runtime().map_err(|error| RehearsalError::Engine(error.to_string()))?;
        let ticks = clock.clone();
        let thread = std::thread::Builder::new().name("rehearsal".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let stage = Stage::new(Arc::new(scenario), ticks, door);
                play.run(stage).await;
            });
        });
        let thread = thread.map_err(|error| RehearsalError::Engine(error.to_string()))?;
        let rehearsal =
            Self { clock, door: seen, token, accept: Some(accept), go, reported, over, leave, thread: Some(thread) };
        match ready.await {
            Ok(result) => result.map(|()| rehearsal),
            Err(_) => Err(RehearsalError::Engine("it ended before it began".to_owned())),
        }
    }

    /// The engine; none while a fault keeps it away.
    pub fn door(&self) -> watch::Receiver<Option<Handle>> {
        self.door.clone()
    }

    /// The operator's token of the simulated engine.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The time of the rehearsal.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// Accepts the plan as it is; time stands still until it is told to go on.
    pub async fn accept(&mut self) -> Result<(), RehearsalError> {
        let ended = || RehearsalError::Engine("its plan was accepted already".to_owned());
        let (accepted, answer) = oneshot::channel();
        self.accept.take().ok_or_else(ended)?.send(accepted).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Lets time go on when it is notified.
    pub fn go(&self) -> Arc<Notify> {
        self.go.clone()
    }

    /// Cancelled when nothing goes on any more.
    pub fn over(&self) -> CancellationToken {
        self.over.clone()
    }

    /// What came of it. The engine stays to be looked at until this is dropped.
    pub async fn report(&mut self) -> Result<Report, RehearsalError> {
        (&mut self.reported).await.unwrap_or_else(|_| Err(RehearsalError::Engine("it ended early".to_owned())))
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        self.leave.cancel();
        self.accept.take();
        // Whoever goes away does not wait: the thread ends at its next look at the token.
        drop(self.thread.take());
    }
}

/// Who waits for the plan to be accepted.
type Accepted = oneshot::Sender<Result<(), RehearsalError>>;

/// The thread's side.
struct Play {
    furnished: oneshot::Sender<Result<(), RehearsalError>>,
    asked: oneshot::Receiver<Accepted>,
    go: Arc<Notify>,
    report: oneshot::Sender<Result<Report, RehearsalError>>,
    over: CancellationToken,
    leave: CancellationToken,
    token: String,
}

impl Play {
    async fn run(self, mut stage: Stage) {
        let Self { furnished, asked, go, report, over, leave, token } = self;
        let furnish = async {
            let handle = stage.start().await?;
            stage.furnish(&handle, &token).await?;
            Ok(handle)
        };
        let handle = match furnish.await {
            Ok(handle) => {
                if furnished.send(Ok(())).is_err() {
                    return;
                }
                handle
            }
            Err(error) => {
                let _ = furnished.send(Err(error));
                return;
            }
        };
        // Nobody accepts it: it was looked at, and that was all.
        if let Ok(accepted) = asked.await {
            // Nobody hears of it any more when the asking side has gone, here and below.
            let _ = accepted.send(stage.accept(&handle).await);
            let played = tokio::select! {
                () = leave.cancelled() => return,
                () = go.notified() => play(&mut stage),
            };
            let played = tokio::select! {
                () = leave.cancelled() => return,
                played = played => played,
            };
            let _ = report.send(played);
            over.cancel();
            leave.cancelled().await;
        }
        stage.stop().await;
    }
}

async fn play(stage: &mut Stage) -> Result<Report, RehearsalError> {
    let start = stage.clock.now();
    stage.fleet.haunt();
    stage.clock.go(true);
    let mut restarts = restarts(&stage.scenario);
    let ended = loop {
        let next = restarts.front().copied();
        let due = async {
            match next {
                Some((_, at, _)) => stage.clock.sleep_until(at.after(start)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ended = rest(stage, start) => break ended,
            () = due => {}
        }
        restarts.pop_front();
        if let Some((place, _, lasts)) = next {
            stage.tally.happened(place);
            restart(stage, place, lasts).await?;
        }
    };
    stage.clock.go(false);
    ended?;
    report::report(stage, start).await
}

/// The restarts of the engine in their order: which fault, when, for how long. A moment late, when everything has settled that
/// happens on the full second.
fn restarts(scenario: &Scenario) -> VecDeque<(usize, Span, Span)> {
    let faults = scenario.faults.iter().enumerate();
    let mut restarts: Vec<(usize, Span, Span)> = faults
        .filter_map(|(place, fault)| match fault.kind {
            FaultKind::Restart { at, lasts } => Some((place, at.plus(Span::from_millis(1)), lasts)),
            _ => None,
        })
        .collect();
    restarts.sort_by_key(|(place, at, _)| (*at, *place));
    restarts.into()
}

/// Kills the engine and starts it again after a while.
async fn restart(stage: &mut Stage, fault: usize, lasts: Span) -> Result<(), RehearsalError> {
    let machines = stage.fleet.hang_up(fault);
    stage.stop().await;
    stage.clock.sleep(lasts).await;
    stage.start().await?;
    stage.fleet.come_back(machines, Fleet::return_spread());
    Ok(())
}

/// Resolves when nothing goes on and nothing will: nodes that are away have had the time in which they might have come.
async fn rest(stage: &Stage, start: Timestamp) -> Result<(), RehearsalError> {
    let latest = MAX_LENGTH.after(start);
    let mut away_since: Option<Timestamp> = None;
    loop {
        stage.clock.sleep(LOOK).await;
        let now = stage.clock.now();
        match stage.rests() {
            Some(false) => return Ok(()),
            Some(true) => {
                let since = *away_since.get_or_insert(now);
                if stage.scenario.patience.after(since) < now {
                    return Ok(());
                }
            }
            None => away_since = None,
        }
        if now > latest {
            return Err(RehearsalError::Endless);
        }
    }
}
