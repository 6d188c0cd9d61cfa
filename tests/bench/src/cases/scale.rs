//! Adding one node to a deployment on many nodes, over adding one to a deployment on few: from the request until everything on the new
//! node is active. Agents are simulated; a role takes as long as said, which is short for one that installs something.

use std::time::Duration;

use anyhow::Result;
use rebar_model::NodeName;

use crate::{
    agents::Agents,
    figure::{Bar, Figure},
    shape::{Shape, name},
    stage::{Database, Stage},
    system::{Watch, quantile},
};

/// The size of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Few nodes
    #[arg(long, default_value_t = 5)]
    few: usize,
    /// Many nodes
    #[arg(long, default_value_t = 500)]
    many: usize,
    /// How many roles a node, in one chain
    #[arg(long, default_value_t = 20)]
    roles: usize,
    /// How long a role takes on its node, in milliseconds
    #[arg(long, default_value_t = 250)]
    role_ms: u64,
    /// How many nodes are added, one after the other; the median counts
    #[arg(long, default_value_t = 3)]
    times: usize,
}

/// What adding a node took, in seconds.
struct Added {
    all: f64,
    decided: f64,
    cpu: f64,
}

/// Measures it.
pub async fn run(args: Args) -> Result<Vec<Figure>> {
    let few = added(&args, args.few).await?;
    let many = added(&args, args.many).await?;
    Ok(vec![
        Figure::new("add-node", many.all / few.all, "times", Bar::AtMost(1.1))
            .with("few_nodes", args.few)
            .with("many_nodes", args.many)
            .with("roles", args.roles)
            .with("role_ms", args.role_ms)
            .with("few_seconds", few.all)
            .with("many_seconds", many.all)
            .with("few_plan_and_accept_seconds", few.decided)
            .with("many_plan_and_accept_seconds", many.decided)
            .with("few_cpu_seconds", few.cpu)
            .with("many_cpu_seconds", many.cpu),
    ])
}

/// Adds nodes to a deployment on so many.
async fn added(args: &Args, count: usize) -> Result<Added> {
    let stage = Stage::start(Database::Sqlite).await?;
    let mut nodes = stage.add_nodes(count).await?;
    let mut agents = Agents::connect(&stage.handle, &nodes).await?;
    stage.deploy(Shape { roles: args.roles, depth: args.roles }, &nodes).await?;
    let plan = stage.plan()?;
    stage.accept(&plan).await?;
    agents.done(count * args.roles).await;
    agents.take(Duration::from_millis(args.role_ms));
    let (mut all, mut decided, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..args.times {
        let node: NodeName = name(&format!("added{at}"))?;
        let watch = Watch::start()?;
        stage.add_node(&node).await?;
        agents.join(&stage.handle, &node).await?;
        nodes.push(node);
        stage.move_to(&nodes).await?;
        let (before, _) = watch.seconds()?;
        let plan = stage.plan()?;
        stage.accept(&plan).await?;
        decided.push(watch.seconds()?.0 - before);
        agents.done(args.roles).await;
        let (seconds, cpu_seconds) = watch.seconds()?;
        all.push(seconds);
        cpu.push(cpu_seconds);
    }
    stage.end().await;
    Ok(Added { all: quantile(&mut all, 0.5), decided: quantile(&mut decided, 0.5), cpu: quantile(&mut cpu, 0.5) })
}
