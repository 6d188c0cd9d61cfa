//! `rebar watch`: follows a deployment; what happens is the data of this command.

use rebar_model::DeploymentName;

use crate::{
    app::App,
    exit::Exit,
    failure::Failure,
    live::{self, Follow, Until},
};

/// What to follow.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar watch demo\n  rebar watch demo -o ndjson | jq -r 'select(.standing==\"failed\") | .address'\n  rebar watch demo --forever     does not end when nothing runs"
)]
pub struct Args {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// Go on when nothing runs any more
    #[arg(long)]
    pub forever: bool,
}

/// Follows a deployment.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let until = if args.forever { Until::Forever } else { Until::Settled };
    let follow = Follow { name: args.name, until, as_data: true };
    let ended = live::follow(app, client, &follow).await?;
    live::conclude(app, client, &follow.name, &ended).await
}
