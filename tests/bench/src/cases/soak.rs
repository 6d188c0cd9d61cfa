//! A long run: the engine as its users start it, under a steady load of everything that it does, looked at again and again. Memory that
//! is steady neither grows with time nor with the number of attempts; the database does, since nothing is removed from it.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rebar_e2e::House;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use crate::{
    figure::{Bar, Figure},
    product::{deploy, insist, nodes, rebar},
    shape::Shape,
    system::memory_mb_of,
    wire::Agents,
};

/// Memory is steady when its line over the last two thirds does not rise faster than this, in MiB an hour.
const STEADY_MB_AN_HOUR: f64 = 32.0;
/// The same for open files and for threads.
const STEADY_FILES_AN_HOUR: f64 = 20.0;
/// Readers of a followed event stream; one goes and one comes each round.
const READERS: usize = 4;
/// Agents whose line is cut in each round.
const CUTS: usize = 3;
/// Something that takes longer has got stuck.
const PATIENCE: &str = "10m";
/// In so many rounds everything is wiped and built again, instead of changed.
const REBUILD_EVERY: u64 = 15;

/// The size of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// How many nodes
    #[arg(long, default_value_t = 50)]
    nodes: usize,
    /// How many roles a node; all of them run again in each round
    #[arg(long, default_value_t = 10)]
    roles: usize,
    /// What each attempt says, in bytes
    #[arg(long, default_value_t = 2_000)]
    log: usize,
    /// From one round to the next, in seconds
    #[arg(long, default_value_t = 5)]
    round: u64,
}

/// The engine at one moment.
#[derive(Debug, Clone, Serialize)]
struct Sample {
    seconds: f64,
    memory_mb: f64,
    files: usize,
    threads: usize,
    database_mb: f64,
    /// How long a question and a change took, by the command line; a change waits behind everything in the inbox.
    asked_ms: f64,
    changed_ms: f64,
    attempts: u64,
    sessions: usize,
    /// How often an engine that could not at that moment was asked again.
    asked_again: u64,
}

/// Measures it.
pub async fn run(args: Args) -> Result<Vec<Figure>> {
    let mut house = House::stopped();
    house.start_engine();
    let ready = nodes(&house, args.nodes).await?;
    let agents = Agents::connect(&ready, args.log)?;
    let mut here = agents.seen.here.subscribe();
    here.wait_for(|it| *it == args.nodes).await?;
    deploy(&house, Shape { roles: args.roles, depth: args.roles }, &ready)?;
    let mut readers = (0..READERS).map(|_| Reader::start(&house)).collect::<Result<Vec<_>>>()?;
    let (since, length) = (Instant::now(), Duration::from_mins(args.minutes));
    let mut ticks = tokio::time::interval(Duration::from_secs(args.round));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut samples = Vec::new();
    let mut asked_again = 0;
    for round in 0.. {
        ticks.tick().await;
        if since.elapsed() >= length {
            break;
        }
        let (changed_ms, again) = tokio::task::block_in_place(|| turn(&house, round))?;
        asked_again += again;
        for at in 0..CUTS {
            agents.cut(usize::try_from(round)? * CUTS + at);
        }
        readers.rotate_left(1);
        readers.pop();
        readers.push(Reader::start(&house)?);
        let asked = Instant::now();
        tokio::task::block_in_place(|| rebar(&house, &["logs", "bench/r000@n0000"]))?;
        let asked_ms = asked.elapsed().as_secs_f64() * 1_000.0;
        let (attempts, sessions) = (*agents.seen.count.borrow(), *here.borrow());
        let engine = engine(&house)?;
        samples.push(Sample {
            seconds: since.elapsed().as_secs_f64(),
            asked_ms,
            changed_ms,
            attempts,
            sessions,
            asked_again,
            ..engine
        });
        if let Some(last) = samples.last() {
            eprintln!("soak: {}", serde_json::to_string(last)?);
        }
    }
    rebar(&house, &["wait", "bench", "--for", "active", "--timeout", PATIENCE])?;
    figures(&args, &samples)
}

/// What operators do in a round: something changes and is applied, or everything is built again. How long the change took, and how often
/// the engine was asked again.
fn turn(house: &House, round: u64) -> Result<(f64, u64)> {
    let since = Instant::now();
    let mut again = insist(house, &["attr", "set", "size", &round.to_string(), "--deployment", "bench"])?;
    let changed_ms = since.elapsed().as_secs_f64() * 1_000.0;
    if round % REBUILD_EVERY == REBUILD_EVERY - 1 {
        // What was begun goes on; the next rounds wait for it.
        again += insist(house, &["redeploy", "bench", "--yes", "bench", "--no-follow"])?;
    } else {
        again += insist(house, &["apply", "bench", "--yes", "--progress", "none", "--timeout", PATIENCE])?;
    }
    Ok((changed_ms, again))
}

fn engine(house: &House) -> Result<Sample> {
    let process = house.engine_process().context("the engine has ended")?;
    let entries = |name: &str| Ok::<_, std::io::Error>(fs::read_dir(format!("/proc/{process}/{name}"))?.count());
    let data = house.path("data");
    Ok(Sample {
        seconds: 0.0,
        memory_mb: memory_mb_of(process)?,
        files: entries("fd")?,
        threads: entries("task")?,
        database_mb: size_mb(&data.join("rebar.db")) + size_mb(&data.join("rebar.db-wal")),
        asked_ms: 0.0,
        changed_ms: 0.0,
        attempts: 0,
        sessions: 0,
        asked_again: 0,
    })
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files are small enough")]
fn size_mb(path: &Path) -> f64 {
    fs::metadata(path).map_or(0.0, |it| it.len() as f64) / f64::from(1 << 20)
}

/// Somebody who follows all events.
struct Reader(Child);

impl Reader {
    fn start(house: &House) -> Result<Self> {
        let mut command = house.command();
        command.args(["events", "--follow", "--since", "now", "-o", "ndjson"]);
        Ok(Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn figures(args: &Args, samples: &[Sample]) -> Result<Vec<Figure>> {
    let late = &samples[samples.len() / 3..];
    ensure!(late.len() > 2, "too short to say anything");
    let (first, last) = (&late[0], &late[late.len() - 1]);
    Ok(vec![
        Figure::new("soak-memory", an_hour(late, |it| it.memory_mb), "MiB/h", Bar::AtMost(STEADY_MB_AN_HOUR))
            .with("minutes", args.minutes)
            .with("nodes", args.nodes)
            .with("attempts", last.attempts)
            .with("attempts_a_second", an_hour(late, |it| it.attempts as f64) / 3_600.0)
            .with("asked_again", last.asked_again)
            .with("memory_mb_at_one_third", first.memory_mb)
            .with("memory_mb_at_the_end", last.memory_mb)
            .with("database_mb_an_hour", an_hour(late, |it| it.database_mb))
            .with("samples", serde_json::to_value(samples)?),
        Figure::new("soak-files", an_hour(late, |it| it.files as f64), "files/h", Bar::AtMost(STEADY_FILES_AN_HOUR)),
        Figure::new(
            "soak-threads",
            an_hour(late, |it| it.threads as f64),
            "threads/h",
            Bar::AtMost(STEADY_FILES_AN_HOUR),
        ),
        Figure::new("soak-change", an_hour(late, |it| it.changed_ms), "ms/h", Bar::Beside)
            .with("last_ms", last.changed_ms),
    ])
}

/// What a value gains an hour, by least squares.
fn an_hour(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let count = samples.len() as f64;
    let middle = samples.iter().map(|it| it.seconds).sum::<f64>() / count;
    let mean = samples.iter().map(&of).sum::<f64>() / count;
    let rise: f64 = samples.iter().map(|it| (it.seconds - middle) * (of(it) - mean)).sum();
    let run: f64 = samples.iter().map(|it| (it.seconds - middle).powi(2)).sum();
    if run == 0.0 { 0.0 } else { rise / run * 3_600.0 }
}
