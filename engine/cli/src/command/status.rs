//! `rebar status`: what needs a person, what runs, what broke.

use rebar_api::types::NodeStanding;
use rebar_model::DeploymentName;

use crate::{app::App, clock, exit::Exit, failure::Failure, screen};

/// Which deployments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar status\n  rebar status demo -o wide      every node-role\n  rebar status demo -o json | jq '.counts'"
)]
pub struct Args {
    /// The deployments; none for all, in short
    #[arg(value_name = "DEPLOYMENT")]
    pub names: Vec<DeploymentName>,
}

/// Shows how things stand.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let [first, rest @ ..] = args.names.as_slice() else { return all(app).await };
    let mut statuses = vec![client.status(first).await?];
    for name in rest {
        statuses.push(client.status(name).await?);
    }
    match statuses.as_slice() {
        [one] => app.output.data(
            one,
            || one.node_roles.iter().map(|it| it.id.to_string()).collect(),
            |look| screen::status::render(one, look),
        )?,
        several => app.output.list(
            several,
            |it| it.name.to_string(),
            |look| several.iter().map(|it| screen::status::render(it, look)).collect::<Vec<_>>().join("\n"),
        )?,
    }
    Ok(Exit::Done)
}

async fn all(app: &App) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let deployments = client.deployments().await?;
    let nodes = client.nodes(None).await?;
    let upgrade = client.agent_upgrade().await?;
    let now = clock::now();
    let away: Vec<&str> =
        nodes.iter().filter(|it| it.standing == NodeStanding::Away).map(|it| it.node.name.as_str()).collect();
    app.output.list(
        &deployments,
        |it| it.name.to_string(),
        |look| {
            let mut text = screen::deployment::list(&deployments, now, look).render();
            text.push('\n');
            text.push_str(&screen::words::count(nodes.len(), "node"));
            if !away.is_empty() {
                let line = format!(", away: {}", screen::words::ranges(away.iter().copied()));
                text.push_str(&look.paint(screen::Tone::Person, &line));
            }
            text.push_str(&upgrade.as_ref().map(|it| screen::agent::line(it, look)).unwrap_or_default());
            for it in deployments.iter().filter(|it| it.needs_person) {
                let line = format!("\n{} needs a person: rebar explain {}", it.name, it.name);
                text.push_str(&look.paint(screen::Tone::Person, &line));
            }
            text + "\n"
        },
    )?;
    Ok(Exit::Done)
}
