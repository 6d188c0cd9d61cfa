//! Agents that are here and have nothing to do: what they cost the engine in memory and CPU time.

use anyhow::Result;

use crate::{
    figure::{Bar, Figure},
    host::{self, Host},
    wire::Agents,
};

/// The size of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many agents
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// How many seconds the engine is watched
    #[arg(long, default_value_t = 30)]
    seconds: u32,
}

/// Measures it.
pub async fn run(args: Args) -> Result<Vec<Figure>> {
    let engine = host::Args::sized(args.agents, 1, 1);
    let mut host = Host::start(&engine).await?;
    let _agents = Agents::connect(&host.ready, 0)?;
    let arrived = host.order(&format!("here {}", args.agents)).await?;
    let seen = host.order(&format!("rest {}", args.seconds)).await?;
    let share = seen.cpu_seconds / seen.seconds * 100.0;
    Ok(vec![
        Figure::new("idle-agents-memory", seen.memory_mb, "MiB", Bar::AtMost(1_024.0))
            .with("agents", args.agents)
            .with("agents_here_after_seconds", arrived.seconds),
        Figure::new("idle-agents-cpu", share, "% of a core", Bar::AtMost(10.0))
            .with("agents", args.agents)
            .with("watched_seconds", seen.seconds),
    ])
}
