//! The engine as its users start it: how long until it serves, until a first deployment is active, and until it goes on after SIGKILL in
//! the middle of one.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use rebar_e2e::House;

use crate::{
    figure::{Bar, Figure},
    product::{deploy, nodes, rebar},
    shape::Shape,
    wire::Agents,
};

/// Nothing that works takes longer.
const PATIENCE: Duration = Duration::from_mins(2);

/// A first deployment.
#[derive(Debug, clap::Args)]
pub struct Start {
    /// How many nodes
    #[arg(long, default_value_t = 5)]
    nodes: usize,
    /// How many roles a node
    #[arg(long, default_value_t = 8)]
    roles: usize,
}

/// A deployment that is interrupted.
#[derive(Debug, clap::Args)]
pub struct Restart {
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

/// Measures the start on an empty folder.
pub async fn start(args: Start) -> Result<Vec<Figure>> {
    let mut house = House::stopped();
    let since = Instant::now();
    serve(&mut house)?;
    let serving = since.elapsed().as_secs_f64();
    let ready = nodes(&house, args.nodes).await?;
    let _agents = Agents::connect(&ready, 0)?;
    deploy(&house, Shape { roles: args.roles, depth: args.roles }, &ready)?;
    rebar(&house, &["apply", "bench", "--yes", "--progress", "none"])?;
    Ok(vec![
        Figure::new("start", serving, "s", Bar::AtMost(1.0)),
        Figure::new("first-deployment", since.elapsed().as_secs_f64(), "s", Bar::AtMost(10.0))
            .with("nodes", args.nodes)
            .with("roles", args.roles),
    ])
}

/// Measures the start after SIGKILL.
pub async fn restart(args: Restart) -> Result<Vec<Figure>> {
    let mut house = House::stopped();
    serve(&mut house)?;
    let ready = nodes(&house, args.nodes).await?;
    let agents = Agents::connect(&ready, 0)?;
    let (mut here, mut count) = (agents.seen.here.subscribe(), agents.seen.count.subscribe());
    here.wait_for(|it| *it == args.nodes).await?;
    deploy(&house, Shape { roles: args.roles, depth: args.depth }, &ready)?;
    let all = (args.nodes * args.roles) as u64;
    let mut apply =
        house.command().args(["apply", "bench", "--yes", "--progress", "none"]).stdout(Stdio::null()).spawn()?;
    let before = *tokio::time::timeout(PATIENCE, count.wait_for(|it| *it >= all / 2)).await??;
    house.kill_engine();
    apply.kill()?;
    apply.wait()?;
    ensure!(before < all, "the engine was done before it was killed");
    // What is on its way still counts as before.
    here.wait_for(|it| *it == 0).await?;
    let before = *count.borrow_and_update();
    let since = Instant::now();
    house.spawn_engine();
    tokio::time::timeout(PATIENCE, count.wait_for(|it| *it > before)).await??;
    let resumed = since.elapsed().as_secs_f64();
    tokio::time::timeout(PATIENCE, count.wait_for(|it| *it >= all)).await??;
    rebar(&house, &["wait", "bench", "--for", "active", "--timeout", "120s"])?;
    let seconds = since.elapsed().as_secs_f64();
    let (ran, not_once) = (*count.borrow(), agents.seen.not_once());
    ensure!(ran == all && not_once.is_empty(), "{ran} of {all} were run, and not once: {not_once:?}");
    Ok(vec![
        Figure::new("restart", resumed, "s", Bar::AtMost(5.0))
            .with("node_roles", all)
            .with("done_before", before)
            .with("until_all_are_active_seconds", seconds)
            .with("lost", 0)
            .with("doubled", 0),
    ])
}

/// Starts the engine, and asks it until it answers.
fn serve(house: &mut House) -> Result<()> {
    house.spawn_engine();
    let since = Instant::now();
    while let Err(said) = house.answers() {
        ensure!(since.elapsed() < PATIENCE, "the engine does not answer: {said}");
    }
    Ok(())
}
