//! Following work: how things stand is asked again and again, events only say when. It ends when nothing runs any more; it goes
//! on when the engine is restarted; Ctrl-C detaches.

mod canvas;
mod draw;
mod tracker;
mod wake;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rebar_api::types::DeploymentStatus;
use rebar_model::{DeploymentName, Mode, Standing};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use tracker::{Happening, Tracker};

use crate::{
    app::App,
    client::Client,
    exit::Exit,
    failure::Failure,
    live::{draw::Draw, wake::Wake},
    screen::{bars::Frame, summary, summary::Summary},
};

/// How often things are looked at when no event comes.
const LOOK: Duration = Duration::from_secs(2);
/// How often the clock on the screen moves.
const BEAT: Duration = Duration::from_millis(500);
/// How long looks are apart at least.
const PAUSE: Duration = Duration::from_millis(150);
/// How long to wait before an engine that does not answer is asked again.
const SILENCE: Duration = Duration::from_secs(1);

/// How long to follow.
#[derive(Debug, Clone)]
pub enum Until {
    /// Until nothing runs any more.
    Settled,
    /// Until a person goes away.
    Forever,
    /// Until a rehearsal is over. Its own clock is shown.
    Over {
        /// When it began, by its clock.
        since: Timestamp,
        /// Told of the first look: only then time goes on.
        looked: Arc<Notify>,
        /// Cancelled when it is over.
        over: CancellationToken,
    },
}

impl Until {
    /// Whether following ends with a look at this; `over` is what was known before the look.
    fn ends(&self, status: &DeploymentStatus, over: bool) -> bool {
        match self {
            Self::Settled => status.settled,
            Self::Forever => false,
            Self::Over { .. } => over,
        }
    }

    /// Tells a rehearsal that it was looked at; more than once does no harm.
    fn tell(&self) {
        if let Self::Over { looked, .. } = self {
            looked.notify_one();
        }
    }

    /// Whether a rehearsal is over.
    fn is_over(&self) -> bool {
        matches!(self, Self::Over { over, .. } if over.is_cancelled())
    }

    /// Resolves when a rehearsal is over; never for anything else.
    async fn over(&self) {
        match self {
            Self::Over { over, .. } => over.cancelled().await,
            Self::Settled | Self::Forever => std::future::pending().await,
        }
    }
}

/// What is followed.
#[derive(Debug, Clone)]
pub struct Follow {
    /// The deployment.
    pub name: DeploymentName,
    /// For how long.
    pub until: Until,
    /// Whether what happens is the data of this command, rather than talk.
    pub as_data: bool,
}

/// How following ended.
#[derive(Debug)]
pub struct Ended {
    /// Why.
    pub why: Why,
    /// How things stood last; none when the deployment is gone.
    pub status: Option<DeploymentStatus>,
    /// How things stood first, by the engine's clock.
    pub started_at: Option<Timestamp>,
    /// When the mode changed from wiping to building, by this machine's clock since the start.
    pub wiped_after: Option<Duration>,
    /// How long it was followed.
    pub took: Duration,
}

/// Why following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nothing runs any more.
    Settled,
    /// The deployment is gone.
    Gone,
    /// A person went away.
    Detached,
    /// It took longer than the user wanted to wait.
    TimedOut,
}

/// Follows a deployment.
pub async fn follow(app: &App, client: &Client, follow: &Follow) -> Result<Ended, Failure> {
    let start = Instant::now();
    let deadline = app.timeout().map(|it| start + it);
    let mut draw = Draw::new(app, follow);
    let mut wake = Wake::new(client.clone(), follow.name.clone());
    let mut session = Session::new(start, &follow.until);
    let interrupted = interrupt();
    tokio::pin!(interrupted);
    let why = loop {
        let over = follow.until.is_over();
        let asked = Instant::now();
        let looked = tokio::select! {
            () = &mut interrupted => break Why::Detached,
            () = until(deadline) => break Why::TimedOut,
            looked = client.status(&follow.name) => looked,
        };
        match looked {
            Ok(status) => {
                session.look_took = asked.elapsed();
                if let Some(why) = session.look(status, follow, over, &mut draw, client).await? {
                    break why;
                }
            }
            Err(failure) if failure.exit == Exit::NotFound => {
                if session.status.is_none() {
                    return Err(failure);
                }
                break Why::Gone;
            }
            Err(failure) if failure.is_passing() => session.silent(&mut draw),
            Err(failure) => {
                draw.clear();
                return Err(failure);
            }
        }
        tokio::select! {
            () = &mut interrupted => break Why::Detached,
            () = until(deadline) => break Why::TimedOut,
            () = follow.until.over(), if !over => {}
            () = session.rest(&mut wake, &mut draw) => {}
        }
    };
    draw.clear();
    if why == Why::Gone {
        session.status = None;
    }
    Ok(Ended {
        why,
        status: session.status,
        started_at: session.started_at,
        wiped_after: session.wiped_after,
        took: start.elapsed(),
    })
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Resolves when a person presses Ctrl-C; never where that cannot be known.
async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What is known while following.
struct Session {
    start: Instant,
    /// When the rehearsal that is followed began, by its clock.
    rehearsed_since: Option<Timestamp>,
    tracker: Tracker,
    status: Option<DeploymentStatus>,
    started_at: Option<Timestamp>,
    looked_at: Option<Instant>,
    /// How long the engine took to tell how things stand.
    look_took: Duration,
    silent_since: Option<Instant>,
    wiped_after: Option<Duration>,
    news: Option<String>,
}

impl Session {
    fn new(start: Instant, until: &Until) -> Self {
        let rehearsed_since = match until {
            Until::Over { since, .. } => Some(*since),
            Until::Settled | Until::Forever => None,
        };
        Self {
            start,
            rehearsed_since,
            tracker: Tracker::default(),
            status: None,
            started_at: None,
            looked_at: None,
            look_took: Duration::ZERO,
            silent_since: None,
            wiped_after: None,
            news: None,
        }
    }

    /// Takes in how things stand; says why following ends, if it does.
    async fn look(
        &mut self,
        status: DeploymentStatus,
        follow: &Follow,
        over: bool,
        draw: &mut Draw,
        client: &Client,
    ) -> Result<Option<Why>, Failure> {
        if self.silent_since.take().is_some() {
            draw.note(self.seconds(), "the engine is back");
        }
        self.looked_at = Some(Instant::now());
        self.started_at.get_or_insert(status.at);
        let wiping = |it: &DeploymentStatus| it.mode == Mode::Rebuilding;
        if self.status.as_ref().is_some_and(wiping) && !wiping(&status) {
            self.wiped_after.get_or_insert(self.start.elapsed());
        }
        let ends = follow.until.ends(&status, over);
        let happenings = self.tracker.take(&status);
        self.status = Some(status);
        for happening in happenings {
            let log = self.log(&happening, client).await;
            draw.happening(self.seconds_at(happening.at), &happening, &log)?;
        }
        if let Some(status) = &self.status {
            draw.status(self.seconds(), status, self.tracker.counts(), self.news.as_deref())?;
        }
        follow.until.tell();
        Ok(ends.then_some(Why::Settled))
    }

    /// The last lines of what failed; none where the engine does not give them.
    async fn log(&self, happening: &Happening, client: &Client) -> Vec<String> {
        const LINES: usize = 20;
        match (happening.standing, happening.attempt) {
            (Standing::Failed, Some(attempt)) => client.log_tail(attempt, LINES).await.unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// Takes in that the engine did not answer.
    fn silent(&mut self, draw: &mut Draw) {
        if self.silent_since.is_none() {
            self.silent_since = Some(Instant::now());
            draw.note(self.seconds(), "the engine does not answer; trying again");
        }
    }

    /// Waits until it is worth looking again; meanwhile the clock on the screen moves.
    async fn rest(&mut self, wake: &mut Wake, draw: &mut Draw) {
        // Where a look is much work for the engine, it gets time for its own.
        let pause = if self.silent_since.is_some() { SILENCE } else { PAUSE.max(3 * self.look_took) };
        tokio::time::sleep(pause).await;
        let end = Instant::now() + LOOK;
        while Instant::now() < end {
            tokio::select! {
                event = wake.next() => {
                    self.news = event.or(self.news.take());
                    return;
                }
                () = tokio::time::sleep(BEAT) => {}
            }
            let silent = self.silent_since.map(|it| whole(it.elapsed()));
            if let Some(status) = &self.status {
                // What is rehearsed does not go at the pace of this machine's clock.
                let age = self.looked_at.filter(|_| self.rehearsed_since.is_none()).map_or(0, |it| whole(it.elapsed()));
                draw.beat(&Frame {
                    status,
                    seconds: self.seconds(),
                    age,
                    silent,
                    news: self.news.as_deref(),
                    rehearsed: self.rehearsed_since.is_some(),
                });
            }
            if silent.is_some() {
                return;
            }
        }
    }

    /// How long it is being followed: a rehearsal by its own clock.
    fn seconds(&self) -> i64 {
        match (self.rehearsed_since, &self.status) {
            (Some(since), Some(status)) => status.at.duration_since(since).as_secs(),
            (Some(_), None) => 0,
            (None, _) => whole(self.start.elapsed()),
        }
    }

    /// The same for something that happened at a moment of the engine's clock. Those clocks are compared in rehearsals alone: an
    /// engine's may differ from this machine's.
    fn seconds_at(&self, at: Timestamp) -> i64 {
        self.rehearsed_since.map_or_else(|| self.seconds(), |since| at.duration_since(since).as_secs())
    }
}

fn whole(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Says how following ended, in the five lines; the exit code for it.
pub async fn conclude(app: &App, client: &Client, name: &DeploymentName, ended: &Ended) -> Result<Exit, Failure> {
    match ended.why {
        Why::Detached => {
            app.output.insist(&detached(name));
            return Ok(Exit::Detached);
        }
        Why::TimedOut => {
            let text = format!(
                "not done after {}; the work goes on:  rebar watch {name}",
                crate::screen::words::duration(seconds(ended))
            );
            app.output.insist(&text);
            return Ok(Exit::TimedOut);
        }
        Why::Settled | Why::Gone => {}
    }
    let exit = ended.status.as_ref().map_or(Exit::Done, exit_of);
    let person = if exit == Exit::Done { None } else { Some(person(client, name).await) };
    let slowest = slowest(client, name, ended).await;
    let summary =
        Summary { status: ended.status.as_ref(), name: name.as_str(), seconds: seconds(ended), slowest, person };
    app.output.data(&ended.status, || vec![name.to_string()], |look| summary::render(&summary, look))?;
    Ok(exit)
}

fn seconds(ended: &Ended) -> i64 {
    whole(ended.took)
}

/// What a person is told who goes away.
pub fn detached(name: &DeploymentName) -> String {
    format!("detached; the work goes on\n  watch  rebar watch {name}\n  stop   rebar deployment cancel {name}")
}

/// The exit code for how a deployment stands when nothing runs any more.
pub fn exit_of(status: &DeploymentStatus) -> Exit {
    if status.active {
        Exit::Done
    } else if status.counts.get(&Standing::Failed).copied().unwrap_or(0) > 0 {
        Exit::Failed
    } else {
        Exit::NeedsPerson
    }
}

/// What needs a person, in one line.
async fn person(client: &Client, name: &DeploymentName) -> String {
    let query = rebar_api::types::ExplainQuery::default();
    match client.explain(name, &query).await {
        Ok(view) => match view.causes.first() {
            Some(cause) => {
                let place = cause.node_roles.first().map(|it| format!("{}: ", it.local())).unwrap_or_default();
                format!("{place}{}", crate::screen::explain::text(cause))
            }
            None => view.headline,
        },
        Err(_) => format!("rebar explain {name}"),
    }
}

/// The slowest attempt since following began.
async fn slowest(client: &Client, name: &DeploymentName, ended: &Ended) -> Option<(String, i64)> {
    const MOST: u32 = 1_000;
    let start = ended.started_at?;
    let attempts = client.attempts(Some(name), None, Some(MOST)).await.ok()?;
    attempts
        .into_iter()
        // What was dispatched in the decision that is being followed began a moment before it was first looked at.
        .filter(|it| it.started_at.duration_since(start).as_secs() >= -2)
        .filter_map(|it| Some((it.node_role.local(), it.ended_at?.duration_since(it.started_at).as_secs())))
        .max_by_key(|(_, seconds)| *seconds)
}
