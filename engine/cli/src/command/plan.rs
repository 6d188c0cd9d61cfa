//! `rebar plan`: what would change, on which node, and why.

use rebar_model::DeploymentName;

use crate::{app::App, exit::Exit, failure::Failure, screen};

/// Which plan.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar plan demo\n  rebar plan demo --exit-code    3 if anything would change\n  rebar plan demo -o json | jq '.steps[] | select(.action==\"change\") | .address'"
)]
pub struct Args {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// End with 3 if anything would change
    #[arg(long)]
    pub exit_code: bool,
}

/// Makes a plan and shows it; changes nothing.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let plan = app.client().await?.plan(&args.name).await?;
    app.output.data(&plan, || vec![plan.id.to_string()], |look| screen::plan::render(&plan, look))?;
    Ok(if args.exit_code && plan.changes { Exit::Changes } else { Exit::Done })
}
