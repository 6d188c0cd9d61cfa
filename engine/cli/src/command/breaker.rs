//! `rebar breaker`: what stops a deployment when things go wrong; a person opens and closes it.

use rebar_api::types::{BreakerView, ResetRequest, TripRequest};
use rebar_model::DeploymentName;

use crate::{
    app::App,
    args::Arrange,
    clock,
    exit::Exit,
    failure::Failure,
    screen::{self, Look},
};

/// What to do with breakers.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// List the breakers of all deployments
    Ls(Arrange),
    /// Where one stands, what it bears, and why it is open
    Show {
        /// The deployment
        #[arg(value_name = "DEPLOYMENT")]
        name: DeploymentName,
    },
    /// Open one: nothing new starts, what runs goes on to its end
    #[command(after_help = "Examples:\n  rebar breaker trip demo --reason 'the load balancer shows errors'")]
    Trip {
        /// The deployment
        #[arg(value_name = "DEPLOYMENT")]
        name: DeploymentName,
        /// Why; shown wherever somebody asks why nothing happens
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Close one, or let one attempt through to try
    #[command(
        after_help = "Examples:\n  rebar breaker reset demo --probe    one is tried; it closes the breaker, or opens it again\n  rebar breaker reset demo            everything goes on"
    )]
    Reset {
        /// The deployment
        #[arg(value_name = "DEPLOYMENT")]
        name: DeploymentName,
        /// Let one attempt through at first
        #[arg(long)]
        probe: bool,
    },
}

/// Does something with breakers.
pub async fn run(app: &App, verb: Verb) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let view = match verb {
        Verb::Ls(arrange) => {
            let breakers = client.breakers().await?;
            let now = clock::now();
            let draw = |look: &Look| screen::breaker::list(&breakers, now, look);
            app.output.table(&breakers, |it| it.deployment.to_string(), &arrange, draw)?;
            return Ok(Exit::Done);
        }
        Verb::Show { name } => client.breaker(&name).await?,
        Verb::Trip { name, reason } => client.trip_breaker(&name, &TripRequest { reason }).await?,
        Verb::Reset { name, probe } => client.reset_breaker(&name, &ResetRequest { probe }).await?,
    };
    show(app, &view)
}

fn show(app: &App, view: &BreakerView) -> Result<Exit, Failure> {
    let now = clock::now();
    app.output.data(view, || vec![view.state.clone()], |look| screen::breaker::show(view, now, look))?;
    Ok(Exit::Done)
}
