//! `rebar wait`: waits on the server until a deployment stands somewhere. It fails fast when it cannot get there any more.

use std::time::{Duration, Instant};

use rebar_api::types::{WaitAnswer, WaitGoal, WaitQuery, WaitResult};
use rebar_model::{DeploymentName, Span};

use crate::{
    app::App,
    exit::Exit,
    failure::{Failure, Trouble},
    screen,
};

/// How long one question to the engine waits.
const TURN: Duration = Duration::from_secs(60);
/// How much later than asked for an answer may come.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait before an engine that does not answer is asked again.
const SILENCE: Duration = Duration::from_secs(1);

/// What to wait for.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar wait demo                                0 active, 12 cannot become active, 10 time-out, 11 no engine until then\n  rebar wait demo --for settled --timeout 40m\n  rebar wait demo --for removed"
)]
pub struct Args {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// Where it should stand
    #[arg(long = "for", value_enum, default_value_t, value_name = "GOAL")]
    pub goal: Goal,
}

/// Where a deployment should stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Goal {
    /// Everything is active.
    #[default]
    Active,
    /// Nothing runs any more, well or badly.
    Settled,
    /// It is gone.
    Removed,
}

/// Waits.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let start = Instant::now();
    let goal = match args.goal {
        Goal::Active => WaitGoal::Active,
        Goal::Settled => WaitGoal::Settled,
        Goal::Removed => WaitGoal::Removed,
    };
    let answer = wait(app, &args.name, goal, app.timeout().map(|it| start + it)).await?;
    let name = &args.name;
    app.output.data(
        &answer,
        || vec![name.to_string()],
        |look| {
            answer.status.as_ref().map_or_else(|| format!("{name} is gone\n"), |it| screen::status::headline(it, look))
        },
    )?;
    match answer.result {
        WaitResult::Reached => Ok(Exit::Done),
        WaitResult::Timeout => {
            let took = screen::words::duration(i64::try_from(start.elapsed().as_secs()).unwrap_or(i64::MAX));
            app.output.insist(&format!("not there after {took}; the work goes on:  rebar watch {name}"));
            Ok(Exit::TimedOut)
        }
        WaitResult::Unreachable => {
            app.output.insist(&format!("{name} cannot get there by itself any more:  rebar explain {name}"));
            Ok(Exit::GoalLost)
        }
    }
}

/// Asks until the engine knows, or the time is up. An engine that is away, at the start or later, is asked again.
async fn wait(
    app: &App,
    name: &DeploymentName,
    goal: WaitGoal,
    deadline: Option<Instant>,
) -> Result<WaitAnswer, Failure> {
    let mut patience = Patience { deadline, answered: false, told: false };
    loop {
        let turn = patience.left().min(TURN);
        match tokio::time::timeout(turn + GRACE, ask(app, name, goal, turn)).await.unwrap_or_else(|_| Err(late())) {
            // An engine that stops ends every wait early.
            Ok(answer) if answer.result == WaitResult::Timeout && !patience.is_over() => {
                (patience.answered, patience.told) = (true, false);
                tokio::time::sleep(patience.left().min(SILENCE)).await;
            }
            Ok(answer) => return Ok(answer),
            Err(failure) if failure.exit == Exit::NotFound && patience.answered => {
                return Err(Failure::new(Trouble::Nothing, format!("{name} is gone")));
            }
            Err(failure) => patience.bear(app, failure).await?,
        }
    }
}

/// One question to the engine.
async fn ask(app: &App, name: &DeploymentName, goal: WaitGoal, turn: Duration) -> Result<WaitAnswer, Failure> {
    let timeout = Span::from_millis(u64::try_from(turn.as_millis()).unwrap_or(u64::MAX));
    app.client().await?.wait(name, &WaitQuery { goal, timeout: Some(timeout) }).await
}

fn late() -> Failure {
    Failure::new(Trouble::Unreachable, "the engine does not answer in time")
}

/// How long an engine that is away is asked again.
struct Patience {
    deadline: Option<Instant>,
    /// It answered once.
    answered: bool,
    /// The user knows that it is away.
    told: bool,
}

impl Patience {
    fn left(&self) -> Duration {
        self.deadline.map_or(TURN, |it| it.saturating_duration_since(Instant::now()))
    }

    fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Takes a failure that may pass, and waits a moment; hands back any other, and every one when the time is up.
    async fn bear(&mut self, app: &App, failure: Failure) -> Result<(), Failure> {
        if !failure.is_passing() {
            return Err(failure);
        }
        if self.is_over() {
            return Err(if self.answered { Failure { exit: Exit::TimedOut, ..failure } } else { failure });
        }
        if !std::mem::replace(&mut self.told, true) {
            app.output.say(&format!("{failure}; trying again"));
        }
        tokio::time::sleep(self.left().min(SILENCE)).await;
        Ok(())
    }
}
