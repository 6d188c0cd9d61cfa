//! `rebar retry`: tries again what failed, and follows it.

use std::collections::BTreeMap;

use rebar_api::types::RetryRequest;
use rebar_model::DeploymentName;

use super::{
    address::{Subject, resolve},
    apply::follow,
};
use crate::{
    app::App,
    exit::Exit,
    failure::{Failure, Trouble},
};

/// What to try again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar retry demo --failed\n  rebar retry docker-engine@n1\n  rebar retry demo --no-follow"
)]
pub struct Args {
    /// A deployment, or addresses of node-roles in one deployment
    #[arg(value_name = "ADDRESS", required = true)]
    pub addresses: Vec<String>,
    /// Everything that failed (what a deployment means in any case)
    #[arg(long)]
    pub failed: bool,
    /// Do not follow
    #[arg(long)]
    pub no_follow: bool,
}

/// Tries again.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let mut chosen: BTreeMap<DeploymentName, Vec<String>> = BTreeMap::new();
    for text in &args.addresses {
        match resolve(client, text).await? {
            Subject::Deployment(name) => drop(chosen.entry(name).or_default()),
            Subject::NodeRole(it) => chosen.entry(it.deployment).or_default().push(it.local),
        }
    }
    if chosen.len() > 1 && !args.no_follow {
        return Err(Failure::new(Trouble::Argument, "these are of several deployments, and only one can be followed")
            .fix("retry them one after the other, or say --no-follow"));
    }
    for (name, addresses) in &chosen {
        let addresses = if args.failed { Vec::new() } else { addresses.clone() };
        let accepted = client.retry(name, &RetryRequest { addresses }).await?;
        app.output.say(&format!("trying again in {}", accepted.deployment));
    }
    match chosen.into_keys().next() {
        Some(name) if !args.no_follow => follow(app, client, name).await,
        _ => Ok(Exit::Done),
    }
}
