//! `rebar plan`: what would change, on which node, and why.

use rebar_model::DeploymentName;

use super::towards::Towards;
use crate::{app::App, exit::Exit, failure::Failure, screen};

/// Which plan.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar plan demo\n  rebar plan demo --exit-code    3 if anything would change\n  rebar plan demo --upgrade docker-swarm@1.1.0    before it is wished for\n  rebar plan demo --revision 3    what going back would change\n  rebar plan demo -o json | jq '.steps[] | select(.action==\"change\") | .address'"
)]
pub struct Args {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// End with 3 if anything would change
    #[arg(long)]
    pub exit_code: bool,
    /// Towards what
    #[command(flatten)]
    pub towards: Towards,
}

/// Makes a plan and shows it; changes nothing.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let towards = args.towards.request(client, &args.name).await?;
    let plan = client.plan(&args.name, towards.as_ref()).await?;
    let flags = args.towards.words();
    app.output.data(&plan, || vec![plan.id.to_string()], |look| screen::plan::render(&plan, &flags, look))?;
    Ok(if args.exit_code && plan.changes { Exit::Changes } else { Exit::Done })
}
