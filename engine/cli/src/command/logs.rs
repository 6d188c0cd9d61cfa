//! `rebar logs`: the log of an attempt, as it comes if asked for.

use std::time::Duration;

use rebar_api::types::{AttemptResult, AttemptView, LogLine, LogQuery};
use rebar_model::AttemptId;

use super::address::{NodeRole, node_role};
use crate::{
    app::App,
    args::Format,
    client::Client,
    exit::Exit,
    failure::{Failure, Trouble},
    screen::Tone,
};

/// How often to look for an attempt that is still to come, and for an engine that does not answer.
const LOOK: Duration = Duration::from_secs(1);
/// How many attempts of a node-role are looked through for one number.
const MOST: u32 = 1_000;

/// Which log.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar logs docker-engine@n1        of the last attempt\n  rebar logs docker-engine@n1 -f     as it comes\n  rebar logs docker-engine@n1#3      of the third attempt\n  rebar logs a-41                    by the attempt's own number"
)]
pub struct Args {
    /// The address of a node-role, or of an attempt
    #[arg(value_name = "ADDRESS")]
    pub address: String,
    /// Go on until the attempt ends
    #[arg(short, long)]
    pub follow: bool,
    /// The number of the attempt, the #3 of an address
    #[arg(long, value_name = "N")]
    pub attempt: Option<u32>,
}

/// Prints a log.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let id = if let Some(number) = args.address.strip_prefix("a-").and_then(|it| it.parse().ok()) {
        AttemptId(number)
    } else {
        let mut of = node_role(client, &args.address).await?;
        of.attempt = args.attempt.or(of.attempt);
        find(app, client, &of, args.follow).await?.id
    };
    let mut offset = 0;
    loop {
        match print(app, client, id, &mut offset, args.follow).await {
            Ok(()) if !args.follow => break,
            // A log that ends while its attempt runs was cut off by an engine that stopped.
            Ok(()) => match client.attempt(id).await {
                Ok(attempt) if attempt.result != AttemptResult::Running => break,
                Ok(_) => {}
                Err(failure) if failure.is_passing() => {}
                Err(failure) => return Err(failure),
            },
            Err(failure) if args.follow && failure.is_passing() => {}
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(Exit::Done)
}

/// The attempt that is meant: that of the number, else the last one.
async fn find(app: &App, client: &Client, of: &NodeRole, follow: bool) -> Result<AttemptView, Failure> {
    let limit = Some(of.attempt.map_or(1, |_| MOST));
    let mut told = false;
    loop {
        let attempts = client.attempts(Some(&of.deployment), Some(&of.local), limit).await?;
        let found = attempts.into_iter().find(|it| of.attempt.is_none_or(|number| it.number == number));
        match found {
            Some(attempt) => return Ok(attempt),
            None if follow => {
                if !std::mem::replace(&mut told, true) {
                    app.output.say(&format!("{} has not run yet; waiting for it", of.local));
                }
                tokio::time::sleep(LOOK).await;
            }
            None => {
                let what =
                    of.attempt.map_or_else(|| "has not run yet".to_owned(), |it| format!("has no attempt #{it}"));
                return Err(Failure::new(Trouble::Nothing, format!("{} {what}", of.local))
                    .fix(format!("rebar explain {}/{}", of.deployment, of.local)));
            }
        }
    }
}

/// Prints a log from an offset on.
async fn print(app: &App, client: &Client, id: AttemptId, offset: &mut u64, follow: bool) -> Result<(), Failure> {
    let mut log = client.log(id, LogQuery { offset: *offset, follow }).await?;
    while let Some(piece) = log.next().await? {
        *offset = piece.offset + piece.bytes;
        show(app, &piece)?;
    }
    Ok(())
}

fn show(app: &App, piece: &LogLine) -> Result<(), Failure> {
    if !app.output.is_for_people() {
        return match app.output.format {
            Format::Name => app.output.print(&piece.text),
            _ => app.output.line(piece),
        };
    }
    if piece.lost > 0 {
        let text = format!("… {} bytes were thinned away here …\n", piece.lost);
        app.output.print(&app.output.look.paint(Tone::Quiet, &text))?;
    }
    app.output.print(&piece.text)
}
