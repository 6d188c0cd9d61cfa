//! The real agent: durable steps in sequence through it, the same work as Ansible does on many nodes, and how big it is.

use std::{process::Stdio, time::Instant};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::{
    figure::{Bar, Figure},
    host::{self, Host, Seen},
    real::{self, Agents},
    shape::{SCRIPT, Work},
    system::{memory_mb_of, quantile},
};

/// Steps in sequence.
#[derive(Debug, clap::Args)]
pub struct Steps {
    /// How many steps
    #[arg(long, default_value_t = 40)]
    steps: usize,
    /// How many times, each with a new engine and a new agent; the median is the figure
    #[arg(long, default_value_t = 5)]
    times: usize,
}

/// The same work as Ansible.
#[derive(Debug, clap::Args)]
pub struct Tasks {
    /// How many nodes, an agent each
    #[arg(long, default_value_t = 100)]
    nodes: usize,
    /// How many roles a node, one after the other
    #[arg(long, default_value_t = 20)]
    roles: usize,
}

/// An agent that has nothing to do.
#[derive(Debug, clap::Args)]
pub struct Idle {
    /// How many seconds after its last attempt
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

/// A chain of roles on each node, carried out by real agents: what was seen of the engine.
async fn carry_out(nodes: usize, roles: usize) -> Result<(Seen, Host, Agents)> {
    let args = host::Args { work: Work::Script, ..host::Args::sized(nodes, roles, roles) };
    let mut host = Host::start(&args).await?;
    let agents = Agents::start(&host.ready).await?;
    host.order(&format!("here {nodes}")).await?;
    let seen = host.order("deploy").await?;
    Ok((seen, host, agents))
}

/// Measures steps in sequence. An agent has no step without a process of the role's own; what it adds to one is what is left when the
/// time of the same script, started by hand, is taken away.
pub async fn steps(args: Steps) -> Result<Vec<Figure>> {
    let (mut seen, mut alone) = (Vec::with_capacity(args.times), Vec::with_capacity(args.times));
    for _ in 0..args.times {
        let seconds = carry_out(1, args.steps).await?.0.seconds;
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let count = args.steps as f64;
        seen.push(seconds * 1_000.0 / count);
        alone.push(by_hand(args.steps).await? * 1_000.0 / count);
    }
    let (step, slowest, alone) = (quantile(&mut seen, 0.5), quantile(&mut seen, 1.0), quantile(&mut alone, 0.5));
    Ok(vec![
        Figure::new("agent-steps", step - alone, "ms", Bar::AtMost(5.0))
            .with("steps", args.steps)
            .with("script_by_hand_ms", alone),
        Figure::new("agent-steps-process", step, "ms", Bar::AtMost(10.0))
            .with("steps", args.steps)
            .with("slowest_ms", slowest),
    ])
}

/// The script of the roles, run so many times by nobody but this process: how many seconds that takes.
async fn by_hand(count: usize) -> Result<f64> {
    let script = tempfile::Builder::new().prefix("rebar-bench-").tempdir()?;
    let path = script.path().join("run.sh");
    std::fs::write(&path, SCRIPT)?;
    let since = Instant::now();
    for _ in 0..count {
        let status = Command::new("/bin/sh").arg(&path).stdin(Stdio::null()).status().await?;
        ensure!(status.success(), "{status}");
    }
    Ok(since.elapsed().as_secs_f64())
}

/// Measures the same work as Ansible does.
pub async fn tasks(args: Tasks) -> Result<Vec<Figure>> {
    let before = Instant::now();
    let (seen, _host, _agents) = carry_out(args.nodes, args.roles).await?;
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let count = (args.nodes * args.roles) as f64;
    Ok(vec![
        Figure::new("tasks", count / seen.seconds, "tasks/s", Bar::Beside)
            .with("nodes", args.nodes)
            .with("roles", args.roles)
            .with("seconds", seen.seconds)
            .with("seconds_with_start_and_enrolment", before.elapsed().as_secs_f64())
            .with("engine_cpu_seconds_per_1000", seen.cpu_seconds / count * 1_000.0),
    ])
}

/// Measures how big the agent is.
pub async fn idle(args: Idle) -> Result<Vec<Figure>> {
    let (_, mut host, agents) = carry_out(1, 10).await?;
    host.order(&format!("rest {}", args.seconds)).await?;
    let process = agents.processes().next().context("the agent has ended")?;
    let memory = memory_mb_of(process)?;
    let program = real::program()?;
    #[expect(clippy::cast_precision_loss, reason = "a program is small")]
    let size = std::fs::metadata(&program)?.len() as f64 / f64::from(1 << 20);
    ensure!(program.components().any(|it| it.as_os_str() == "release"), "{} is not what ships", program.display());
    Ok(vec![
        Figure::new("agent-memory", memory, "MiB", Bar::AtMost(15.0)).with("attempts_before", 10),
        Figure::new("agent-size", size, "MiB", Bar::AtMost(8.0)),
    ])
}
