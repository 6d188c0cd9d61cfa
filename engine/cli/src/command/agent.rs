//! `rebar agent`: the agents of nodes, and the upgrade of all of them. Their releases are `release.rs`.

use rebar_api::types::{AgentView, StartUpgrade, UpgradeView};
use rebar_model::Span;
use semver::Version;
use serde::Serialize;

use super::release;
use crate::{app::App, clock, exit::Exit, failure::Failure, screen};

/// What to do with agents.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Which agent is which release, and how far the last upgrade is
    #[command(alias = "ls")]
    Status,
    /// Upgrade all agents to a release: a few first, the others when those have stayed
    Upgrade {
        /// The release
        #[arg(value_name = "VERSION")]
        version: Version,
        /// How many go first [default: 1]
        #[arg(long, value_name = "N")]
        canary: Option<u32>,
        /// How many are upgraded at once after that [default: 10]
        #[arg(long, value_name = "N")]
        max_in_flight: Option<u32>,
        /// How long an agent has to stay connected before the next ones follow, 15s at least [default: 30s]
        #[arg(long, value_name = "SPAN")]
        stable_for: Option<Span>,
        /// How long an agent may take to say that it is the new release [default: 30m]
        #[arg(long, value_name = "SPAN")]
        report_within: Option<Span>,
    },
    /// Tell no further agent of the upgrade; those that were told go on
    Stop,
    /// Releases of the agent
    #[command(subcommand, alias = "releases")]
    Release(release::Verb),
}

/// The agents, and the last upgrade of them, for programs.
#[derive(Debug, Serialize)]
struct Status<'a> {
    upgrade: Option<&'a UpgradeView>,
    agents: &'a [AgentView],
}

/// Does something with agents.
pub async fn run(app: &App, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Status => status(app).await,
        Verb::Upgrade { version, canary, max_in_flight, stable_for, report_within } => {
            let request = StartUpgrade { version, canaries: canary, max_in_flight, stable_for, report_within };
            let view = app.client().await?.upgrade_agents(&request).await?;
            app.output.say(&format!(
                "the agents are being upgraded to {}, {} first; rebar agent status shows how far it is",
                view.version, view.canaries
            ));
            Ok(Exit::Done)
        }
        Verb::Stop => {
            let view = app.client().await?.stop_upgrade().await?;
            app.output
                .say(&format!("no further agent is told of {}; {} that were told go on", view.version, view.under_way));
            Ok(Exit::Done)
        }
        Verb::Release(verb) => release::run(app, verb).await,
    }
}

async fn status(app: &App) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let (upgrade, agents) = (client.agent_upgrade().await?, client.agents().await?);
    let status = Status { upgrade: upgrade.as_ref(), agents: &agents };
    app.output.data(
        &status,
        || agents.iter().map(|it| it.node.to_string()).collect(),
        |look| screen::agent::status(upgrade.as_ref(), &agents, clock::now(), look),
    )?;
    Ok(Exit::Done)
}
