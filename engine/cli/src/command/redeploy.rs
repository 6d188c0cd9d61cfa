//! `rebar redeploy`: wipes a deployment, builds it again, and follows it.

use rebar_api::types::DeploymentStatus;
use rebar_model::DeploymentName;

use super::{apply::follow, protected::Allowed};
use crate::{app::App, exit::Exit, failure::Failure, screen};

/// What to wipe and build again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar redeploy demo                asks for the name\n  rebar redeploy demo --yes=demo     for scripts"
)]
pub struct Args {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// Confirm by the name of the deployment
    #[arg(long, value_name = "NAME")]
    pub yes: Option<String>,
    /// The protected roles that may be taken away
    #[command(flatten)]
    pub allowed: Allowed,
    /// Do not follow
    #[arg(long)]
    pub no_follow: bool,
}

/// Wipes and rebuilds.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let status = client.status(&args.name).await?;
    args.allowed.refuse(&status.protected, &format!("rebar redeploy {}", args.name))?;
    let what = describe(&status);
    app.confirm_name(args.name.as_str(), args.yes.as_deref(), &what)?;
    let accepted = client.rebuild(&args.name, &args.allowed.into()).await?;
    app.output.say(&format!("{} is being wiped and built again", args.name));
    if args.no_follow {
        app.output.data(
            &accepted,
            || vec![args.name.to_string()],
            |_| format!("follow it: rebar watch {}\n", args.name),
        )?;
        return Ok(Exit::Done);
    }
    follow(app, client, args.name).await
}

/// What will be wiped.
pub fn describe(status: &DeploymentStatus) -> String {
    let nodes: Vec<&str> =
        status.node_roles.iter().filter_map(|it| it.node.as_ref()).map(rebar_model::NodeName::as_str).collect();
    format!(
        "{}: {} on {} are undone, and what they hold is lost",
        status.name,
        screen::words::count(status.node_roles.len(), "node-role"),
        screen::words::ranges(nodes)
    )
}
