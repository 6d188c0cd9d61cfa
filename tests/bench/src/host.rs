//! The engine with its agents' door in a process of its own, so that its memory and CPU time are its own. It is told what to do on
//! standard input, a word a line, and answers in lines of JSON on standard output; [`Host`] is the other end of that.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{ValueEnum as _, builder::PossibleValue};
use rebar_gateway::{Arrivals, Gateway, GatewayConfig};
use rebar_model::{NodeName, Seq};
use rebar_ports::{Authority as _, Clock as _};
use rebar_services::{AuthorityConfig, EngineAuthority};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines, Stdin, stdin},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use tokio_util::sync::CancellationToken;

use crate::{
    shape::{Shape, Work},
    stage::{Database, Stage, deployment},
    system::{SystemClock, Watch, memory_mb},
};

/// What the engine is started with.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Which database
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    pub database: Database,
    /// How many nodes
    #[arg(long, default_value_t = 1_000)]
    pub nodes: usize,
    /// How many roles a node
    #[arg(long, default_value_t = 8)]
    pub roles: usize,
    /// How many roles stand in one chain
    #[arg(long, default_value_t = 8)]
    pub depth: usize,
    /// What agents do for a role
    #[arg(long, value_enum, default_value_t = Work::Simulated)]
    pub work: Work,
    /// Where its database is kept, and found again; a directory of its own where nothing is said
    #[arg(long)]
    pub directory: Option<PathBuf>,
    /// Where the agents' door is
    #[arg(long, default_value = "127.0.0.1:0")]
    pub door: SocketAddr,
}

impl Args {
    /// An engine on a SQLite database of its own, at any free port.
    pub fn sized(nodes: usize, roles: usize, depth: usize) -> Self {
        let door = SocketAddr::from(([127, 0, 0, 1], 0));
        let (database, work) = (Database::Sqlite, Work::Simulated);
        Self { database, nodes, roles, depth, work, directory: None, door }
    }
}

/// What agents need to come in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Where the door is.
    pub address: SocketAddr,
    /// The engine's authority, in PEM.
    pub ca_pem: String,
    /// What an agent that enrols itself recognizes it by. Its token is the name of its node.
    pub ca_fingerprint: String,
    /// The key of all agents, in PEM: making thousands would measure the maker of keys.
    pub key_pem: String,
    /// The certificate of each node, in PEM.
    pub certificates: BTreeMap<NodeName, String>,
}

/// What was seen of the engine's process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seen {
    /// How long it took.
    pub seconds: f64,
    /// CPU seconds of the engine meanwhile.
    pub cpu_seconds: f64,
    /// Its memory at the end, in MiB.
    pub memory_mb: f64,
    /// Connections that it told to come back so far.
    pub sent_away: u64,
    /// The most that were coming in at one time so far.
    pub most_coming: usize,
}

/// Serves until standard input ends.
pub async fn serve(args: Args) -> Result<()> {
    let stage = match &args.directory {
        Some(directory) => Stage::in_directory(directory).await?,
        None => Stage::start(args.database).await?,
    };
    let mut nodes: Vec<NodeName> = stage.handle.read(|world| world.nodes().keys().cloned().collect());
    if nodes.is_empty() {
        nodes = stage.add_nodes(args.nodes).await?;
        stage.deploy_as(args.work, Shape { roles: args.roles, depth: args.depth }, &nodes).await?;
    }
    let now = SystemClock.now();
    let authority = EngineAuthority::start(AuthorityConfig::default(), stage.vault.as_ref(), now).await?;
    let key = rcgen::KeyPair::generate()?;
    let csr = rcgen::CertificateParams::new(Vec::new())?.serialize_request(&key)?.pem()?;
    let sign = |node: &NodeName| Ok((node.clone(), authority.sign_agent(&csr, node, now)?));
    let certificates = nodes.iter().map(sign).collect::<Result<_>>()?;
    let listener = Gateway::listen(args.door)?;
    say(&Ready {
        address: listener.local_addr()?,
        ca_pem: authority.ca_pem().to_owned(),
        ca_fingerprint: authority.ca_fingerprint().to_owned(),
        key_pem: key.serialize_pem(),
        certificates,
    })?;
    let stop = CancellationToken::new();
    let config = GatewayConfig::default();
    let arrivals = config.arrivals.clone();
    let (door, clock) = (Arc::new(stage.handle.clone()), Arc::new(SystemClock));
    let serving = tokio::spawn(Gateway::serve(listener, door, Arc::new(authority), clock, config, stop.clone()));
    obey(&stage, &arrivals, BufReader::new(stdin()).lines()).await?;
    stop.cancel();
    serving.await??;
    stage.end().await;
    Ok(())
}

async fn obey(stage: &Stage, arrivals: &Arrivals, mut orders: Lines<BufReader<Stdin>>) -> Result<()> {
    while let Some(order) = orders.next_line().await? {
        let watch = Watch::start()?;
        match order.split_once(' ').unwrap_or((&order, "")) {
            ("deploy", _) => {
                let plan = stage.plan()?;
                stage.accept(&plan).await?;
                all_active(stage).await?;
            }
            ("here", count) => {
                let count: usize = count.parse()?;
                wait_until(stage, |world| world.nodes().values().filter(|it| it.is_here()).count() >= count).await;
            }
            ("rest", seconds) => tokio::time::sleep(Duration::from_secs(seconds.parse()?)).await,
            _ => bail!("unknown order `{order}`"),
        }
        let (seconds, cpu_seconds) = watch.seconds()?;
        say(&Seen {
            seconds,
            cpu_seconds,
            memory_mb: memory_mb()?,
            sent_away: arrivals.sent_away.load(Ordering::Relaxed),
            most_coming: arrivals.most_at_once.load(Ordering::Relaxed),
        })?;
    }
    Ok(())
}

async fn all_active(stage: &Stage) -> Result<()> {
    let deployment = deployment()?;
    wait_until(stage, |world| world.counts(&deployment).keys().all(|it| *it == "active")).await;
    Ok(())
}

async fn wait_until(stage: &Stage, holds: impl Fn(&rebar_model::World) -> bool) {
    let mut seen = Seq::default();
    while !stage.handle.read(&holds) {
        seen = stage.handle.past(seen).await;
    }
}

fn say(value: &impl Serialize) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// The other end: the engine's process, ended when it is dropped.
pub struct Host {
    /// What agents need to come in.
    pub ready: Ready,
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Host {
    /// Starts it.
    pub async fn start(args: &Args) -> Result<Self> {
        let word = |it: Option<PossibleValue>| it.map(|it| it.get_name().to_owned()).unwrap_or_default();
        let (database, work) = (word(args.database.to_possible_value()), word(args.work.to_possible_value()));
        let numbers = [("--nodes", args.nodes), ("--roles", args.roles), ("--depth", args.depth)];
        let directory = args.directory.iter().flat_map(|it| ["--directory".into(), it.as_os_str().to_owned()]);
        let mut process = Command::new(std::env::current_exe()?)
            .args(["host", "--database", &database, "--work", &work, "--door", &args.door.to_string()])
            .args(directory)
            .args(numbers.iter().flat_map(|(name, number)| [(*name).to_owned(), number.to_string()]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let orders = process.stdin.take().context("the engine's process has no standard input")?;
        let answers = process.stdout.take().context("the engine's process has no standard output")?;
        let mut answers = BufReader::new(answers).lines();
        let ready = read(&mut answers).await?;
        Ok(Self { ready, process, orders, answers })
    }

    /// Kills it, as a power cut would.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }

    /// Has it do something, and waits until that is done.
    pub async fn order(&mut self, order: &str) -> Result<Seen> {
        self.orders.write_all(format!("{order}\n").as_bytes()).await?;
        read(&mut self.answers).await
    }
}

async fn read<T: DeserializeOwned>(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<T> {
    let line = lines.next_line().await?.context("the engine's process has ended")?;
    Ok(serde_json::from_str(&line)?)
}
