//! Durable node-roles a second through gRPC over mutual TLS, with simulated agents. The engine is a process of its own; the agents
//! are this one, on the same cores.

use anyhow::Result;

use crate::{
    figure::{Bar, Figure},
    host::{Args, Host},
    wire::Agents,
};

/// Measures it.
pub async fn run(args: Args) -> Result<Vec<Figure>> {
    let mut host = Host::start(&args).await?;
    let _agents = Agents::connect(&host.ready, 0)?;
    let arrived = host.order(&format!("here {}", args.nodes)).await?;
    let seen = host.order("deploy").await?;
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let count = (args.nodes * args.roles) as f64;
    Ok(vec![
        Figure::new("node-roles-grpc", count / seen.seconds, "node-roles/s", Bar::AtLeast(2_000.0))
            .with("agents", args.nodes)
            .with("node_roles", count)
            .with("seconds", seen.seconds)
            .with("engine_cpu_seconds_per_1000", seen.cpu_seconds / count * 1_000.0)
            .with("engine_memory_mb", seen.memory_mb)
            .with("agents_here_after_seconds", arrived.seconds),
    ])
}
