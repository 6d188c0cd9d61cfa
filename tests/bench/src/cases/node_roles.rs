//! Durable node-roles a second, engine side: a deployment on simulated nodes from the accepted plan until every node-role is active,
//! and the same deployment applied again.

use anyhow::{Result, ensure};
use rebar_model::Action;

use crate::{
    agents::Agents,
    figure::{Bar, Figure},
    shape::Shape,
    stage::{Database, Stage},
    system::{Watch, peak_memory_mb, quantile},
};

/// The size of the work.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which database
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    database: Database,
    /// How many nodes
    #[arg(long, default_value_t = 200)]
    nodes: usize,
    /// How many roles a node
    #[arg(long, default_value_t = 40)]
    roles: usize,
    /// How many roles stand in one chain
    #[arg(long, default_value_t = 10)]
    depth: usize,
}

/// Measures it.
pub async fn run(args: Args) -> Result<Vec<Figure>> {
    let stage = Stage::start(args.database).await?;
    let nodes = stage.add_nodes(args.nodes).await?;
    let mut agents = Agents::connect(&stage.handle, &nodes).await?;
    stage.deploy(Shape { roles: args.roles, depth: args.depth }, &nodes).await?;
    let count = args.nodes * args.roles;

    let watch = Watch::start()?;
    let plan = stage.plan()?;
    let (planned, _) = watch.seconds()?;
    stage.accept(&plan).await?;
    let (accepted, _) = watch.seconds()?;
    let mut latencies = agents.done(count).await;
    let (seconds, cpu) = watch.seconds()?;
    ensure!(stage.all_active(), "not every node-role is active");

    let watch = Watch::start()?;
    let again = stage.plan()?;
    ensure!(again.steps.iter().all(|it| it.action == Action::Keep), "the second plan would run something");
    stage.accept(&again).await?;
    let (again_seconds, again_cpu) = watch.seconds()?;
    stage.end().await;

    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let count = count as f64;
    let (first, second, bar) = match args.database {
        Database::Sqlite => ("node-roles-sqlite", "apply-again-sqlite", 5_000.0),
        Database::Postgres => ("node-roles-postgres", "apply-again-postgres", 3_000.0),
    };
    Ok(vec![
        Figure::new(first, count / seconds, "node-roles/s", Bar::AtLeast(bar))
            .with("node_roles", count)
            .with("seconds", seconds)
            .with("plan_seconds", planned)
            .with("accept_seconds", accepted - planned)
            .with("cpu_seconds_per_1000", cpu / count * 1_000.0)
            .with("dispatch_to_durable_p50_ms", quantile(&mut latencies, 0.5))
            .with("dispatch_to_durable_p99_ms", quantile(&mut latencies, 0.99))
            .with("peak_memory_mb", peak_memory_mb()?),
        Figure::new(second, again_seconds * 1_000.0, "ms", Bar::AtMost(100.0)).with("cpu_seconds", again_cpu),
    ])
}
