//! Log lines taken in from agents, durable, and how long it takes until a reader sees them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rebar_model::{AttemptId, NodeName, Phase};
use rebar_orchestrator::Handle;
use rebar_ports::{AgentDoor, Clock as _, LogChunk};
use tokio::sync::mpsc;

use crate::{
    agents::silent,
    figure::{Bar, Figure},
    shape::Shape,
    stage::{Database, Stage},
    system::{SystemClock, Watch, quantile},
};

/// Lines that an agent sends in one piece when they come fast.
const LINES_A_PIECE: usize = 20;

/// The size of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which database
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    database: Database,
    /// How many attempts write at one time
    #[arg(long, default_value_t = 100)]
    attempts: usize,
    /// How many lines each writes
    #[arg(long, default_value_t = 2_000)]
    lines: usize,
}

/// Measures it.
pub async fn run(args: Args) -> Result<Vec<Figure>> {
    let stage = Stage::start(args.database).await?;
    let nodes = stage.add_nodes(args.attempts).await?;
    let mut dispatched = silent(&stage.handle, &nodes).await?;
    stage.deploy(Shape { roles: 1, depth: 1 }, &nodes).await?;
    let plan = stage.plan()?;
    stage.accept(&plan).await?;
    let (watched, mut sent) = mpsc::unbounded_channel();
    let mut writers = Vec::with_capacity(args.attempts);
    let watch = Watch::start()?;
    for at in 0..args.attempts {
        let (node, attempt) = dispatched.recv().await.context("an attempt was not dispatched")?;
        let (handle, watched) = (stage.handle.clone(), (at == 0).then(|| watched.clone()));
        writers.push(tokio::spawn(write(handle, node, attempt, args.lines, watched)));
    }
    drop(watched);
    let (first, since) = sent.recv().await.context("nothing was written")?;
    let reader = tokio::spawn(read(stage.handle.clone(), first, since, sent));
    for writer in writers {
        writer.await??;
    }
    let (seconds, cpu) = watch.seconds()?;
    let mut latencies = reader.await??;
    stage.end().await;
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let lines = (args.attempts * args.lines) as f64;
    let p99 = quantile(&mut latencies, 0.99);
    Ok(vec![
        Figure::new("log-lines", lines / seconds, "lines/s", Bar::AtLeast(20_000.0))
            .with("lines", lines)
            .with("seconds", seconds)
            .with("cpu_seconds_per_1000", cpu / lines * 1_000.0),
        Figure::new("log-visible-p99", p99, "ms", Bar::AtMost(500.0))
            .with("p50_ms", quantile(&mut latencies, 0.5))
            .with("samples", latencies.len()),
    ])
}

/// Writes a log piece by piece; tells when each was sent, if anybody watches.
async fn write(
    handle: Handle,
    node: NodeName,
    attempt: AttemptId,
    lines: usize,
    watched: Option<mpsc::UnboundedSender<(AttemptId, Instant)>>,
) -> Result<()> {
    let piece = "a line of sixty letters, as they are written by the thousand\n".repeat(LINES_A_PIECE);
    let bytes = piece.len() as u64;
    for at in 0..(lines / LINES_A_PIECE) as u64 {
        let chunk = LogChunk {
            attempt,
            offset: at * bytes,
            phase: Some(Phase::Apply),
            at: SystemClock.now(),
            text: piece.clone(),
            bytes,
            lost: 0,
        };
        if let Some(watched) = &watched {
            watched.send((attempt, Instant::now()))?;
        }
        handle.log(&node, chunk).await?;
    }
    Ok(())
}

/// Follows a log as `rebar logs -f` does; how long each piece took from its sending until it was read, in milliseconds.
async fn read(
    handle: Handle,
    attempt: AttemptId,
    first: Instant,
    mut sent: mpsc::UnboundedReceiver<(AttemptId, Instant)>,
) -> Result<Vec<f64>> {
    let mut grown = handle.log_end();
    let (mut offset, mut times, mut seen) = (0, vec![first], Vec::new());
    loop {
        while let Ok((_, at)) = sent.try_recv() {
            times.push(at);
        }
        let chunks = handle.logs().read(attempt, offset, 1_000).await?;
        for chunk in &chunks {
            ensure!(chunk.offset == offset, "the log has a hole");
            offset = chunk.offset + chunk.bytes;
            while times.len() <= seen.len() {
                let Some((_, at)) = sent.recv().await else { return Ok(seen) };
                times.push(at);
            }
            seen.push(times[seen.len()].elapsed().as_secs_f64() * 1_000.0);
        }
        if chunks.is_empty() {
            if sent.is_closed() && sent.is_empty() && seen.len() == times.len() {
                return Ok(seen);
            }
            // The last writer may be done without a tick after it.
            let _ = tokio::time::timeout(Duration::from_secs(1), grown.changed()).await;
        }
    }
}
