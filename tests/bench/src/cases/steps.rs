//! Durable steps in sequence, engine side: one node, one chain. What a step takes is what the disk and the engine's own path take,
//! since nothing runs side by side.

use anyhow::Result;

use crate::{
    agents::Agents,
    figure::{Bar, Figure},
    shape::Shape,
    stage::{Database, Stage},
    system::{Watch, quantile},
};

/// The size of the work.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which database
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    database: Database,
    /// How many steps
    #[arg(long, default_value_t = 40)]
    steps: usize,
    /// How many times, each on an empty database; the median is the figure
    #[arg(long, default_value_t = 9)]
    times: usize,
}

/// Measures it.
pub async fn run(args: Args) -> Result<Vec<Figure>> {
    let mut seen = Vec::with_capacity(args.times);
    for _ in 0..args.times {
        let stage = Stage::start(args.database).await?;
        let nodes = stage.add_nodes(1).await?;
        let mut agents = Agents::connect(&stage.handle, &nodes).await?;
        stage.deploy(Shape { roles: args.steps, depth: args.steps }, &nodes).await?;
        let plan = stage.plan()?;
        let watch = Watch::start()?;
        stage.accept(&plan).await?;
        agents.done(args.steps).await;
        seen.push(watch.seconds()?.0 * 1_000.0);
        stage.end().await;
    }
    let slowest = quantile(&mut seen, 1.0);
    Ok(vec![
        Figure::new("steps-in-sequence", quantile(&mut seen, 0.5), "ms", Bar::Beside)
            .with("steps", args.steps)
            .with("slowest_ms", slowest),
    ])
}
