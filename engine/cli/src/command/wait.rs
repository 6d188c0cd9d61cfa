//! `rebar wait`: waits on the server until a deployment stands somewhere. It fails fast when it cannot get there any more.

use std::time::{Duration, Instant};

use rebar_api::types::{WaitAnswer, WaitGoal, WaitQuery, WaitResult};
use rebar_model::{DeploymentName, Span};

use crate::{
    app::App,
    client::Client,
    exit::Exit,
    failure::{Failure, Trouble},
    screen,
};

/// How long one question to the engine waits.
const TURN: Duration = Duration::from_secs(60);
/// How long to wait before an engine that does not answer is asked again.
const SILENCE: Duration = Duration::from_secs(1);

/// What to wait for.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar wait demo                                0 active, 12 cannot become active, 10 time-out\n  rebar wait demo --for settled --timeout 40m\n  rebar wait demo --for removed"
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
    let client = app.client().await?;
    let start = Instant::now();
    let deadline = app.timeout().map(|it| start + it);
    let goal = match args.goal {
        Goal::Active => WaitGoal::Active,
        Goal::Settled => WaitGoal::Settled,
        Goal::Removed => WaitGoal::Removed,
    };
    let answer = wait(app, client, &args.name, goal, deadline).await?;
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

/// Asks until the engine knows, or the time is up. An engine that is restarted meanwhile is asked again.
async fn wait(
    app: &App,
    client: &Client,
    name: &DeploymentName,
    goal: WaitGoal,
    deadline: Option<Instant>,
) -> Result<WaitAnswer, Failure> {
    let mut answered = false;
    loop {
        let left = deadline.map_or(TURN, |it| it.saturating_duration_since(Instant::now()));
        let turn = u64::try_from(left.min(TURN).as_millis()).unwrap_or(0);
        let query = WaitQuery { goal, timeout: Some(Span::from_millis(turn)) };
        match client.wait(name, &query).await {
            Ok(answer) if answer.result == WaitResult::Timeout && left > TURN => answered = true,
            // An engine that stops ends every wait early.
            Ok(answer) if answer.result == WaitResult::Timeout && deadline.is_none_or(|it| it > Instant::now()) => {
                answered = true;
                tokio::time::sleep(SILENCE.min(left)).await;
            }
            Ok(answer) => return Ok(answer),
            Err(failure) if failure.is_passing() && answered => {
                if deadline.is_some_and(|it| it <= Instant::now()) {
                    return Err(Failure { exit: Exit::TimedOut, ..failure });
                }
                app.output.say("the engine does not answer; trying again");
                tokio::time::sleep(SILENCE).await;
            }
            Err(failure) if failure.exit == Exit::NotFound && answered => {
                return Err(Failure::new(Trouble::Nothing, format!("{name} is gone")));
            }
            Err(failure) => return Err(failure),
        }
    }
}
