//! `rebar events`: what happened, in the engine's one order. A stream that breaks goes on after the last event that was printed.

use std::time::Duration;

use rebar_api::types::{EventView, EventsQuery};
use rebar_model::DeploymentName;

use crate::{app::App, args::Format, client::Client, exit::Exit, failure::Failure, screen};

/// How long to wait before a broken stream is opened again.
const AGAIN: Duration = Duration::from_secs(1);
/// How many events a page has.
const PAGE: u32 = 1_000;
/// How many events are shown where the user does not say.
const LAST: &str = "-50";

/// Which events.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar events                   the last fifty\n  rebar events --since 0         everything\n  rebar events -f demo           as they come, of one deployment\n  rebar events -f -o ndjson | jq -r .summary"
)]
pub struct Args {
    /// Only those of one deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub deployment: Option<DeploymentName>,
    /// Go on with what comes
    #[arg(short, long)]
    pub follow: bool,
    /// Only those after this one; -50 for the last fifty, 0 for all, now for what is still to come
    #[arg(long, value_name = "SEQ", allow_hyphen_values = true)]
    pub since: Option<String>,
}

/// Prints events.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let since = args.since.clone().unwrap_or_else(|| LAST.to_owned());
    if args.follow {
        return follow(app, client, &args, since).await;
    }
    let mut since = Some(since);
    let mut all = Vec::new();
    while let Some(from) = since.take() {
        let query = EventsQuery { since: Some(from), deployment: args.deployment.clone(), limit: Some(PAGE) };
        let page = client.events(&query).await?;
        since = page.next_page_token;
        if app.output.is_for_people() || app.output.format == Format::Ndjson {
            page.items.iter().try_for_each(|it| show(app, it))?;
        } else {
            all.extend(page.items);
        }
    }
    if !app.output.is_for_people() && app.output.format != Format::Ndjson {
        app.output.list(&all, |it| it.subject.clone(), |_| String::new())?;
    }
    Ok(Exit::Done)
}

async fn follow(app: &App, client: &Client, args: &Args, mut since: String) -> Result<Exit, Failure> {
    let mut opened = false;
    loop {
        let query = EventsQuery { since: Some(since.clone()), deployment: args.deployment.clone(), limit: None };
        match client.event_stream(&query).await {
            Ok(mut stream) => {
                opened = true;
                // A stream that ends or breaks is opened again where it ended.
                while let Ok(Some(event)) = stream.next().await {
                    since = event.seq.to_string();
                    show(app, &event)?;
                }
            }
            Err(failure) if opened && failure.is_passing() => {}
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn show(app: &App, event: &EventView) -> Result<(), Failure> {
    match app.output.format {
        Format::Table | Format::Wide => app.output.print(&screen::event::line(event, &app.output.look)),
        Format::Name => app.output.print(&format!("{}\n", event.subject)),
        // A stream has no end at which one document could be closed.
        Format::Json | Format::Yaml | Format::Ndjson => app.output.line(event),
    }
}
