//! `rebar explain`: why is it not done, and who must act.

use rebar_api::types::ExplainQuery;

use super::address::{Subject, resolve};
use crate::{app::App, clock, exit::Exit, failure::Failure, screen};

/// What to explain.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar explain demo\n  rebar explain docker-engine@n1\n  rebar explain demo/swarm-verify"
)]
pub struct Args {
    /// A deployment, or the address of a node-role
    #[arg(value_name = "ADDRESS")]
    pub address: String,
}

/// Explains.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let (name, query) = match resolve(client, &args.address).await? {
        Subject::Deployment(name) => (name, ExplainQuery::default()),
        Subject::NodeRole(it) => (it.deployment, ExplainQuery { address: Some(it.local) }),
    };
    let view = client.explain(&name, &query).await?;
    let names = || view.causes.iter().flat_map(|it| &it.node_roles).map(ToString::to_string).collect();
    app.output.data(&view, names, |look| screen::explain::render(&view, clock::now(), look))?;
    Ok(Exit::Done)
}
