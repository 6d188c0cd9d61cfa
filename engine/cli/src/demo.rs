//! `rebar demo`: the main job, shown on one machine with the very commands that people use: an engine, nodes as containers, a Docker
//! Swarm deployed, its page fetched through the load balancer, everything wiped and rebuilt twice. The engine that it starts is
//! `engine.rs`, the look at the page `page.rs`, the summary `summary.rs`.

mod engine;
mod page;
mod summary;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use ipnet::Ipv4Net;
use rebar_model::{DeploymentName, NodeName};

use crate::client::Client;
use engine::DemoEngine;
use summary::{Redeploy, Summary};

/// How the demo is run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Take away what a demo left: the engine, its nodes, their network
    #[arg(long)]
    pub clean: bool,
    /// How many nodes: managers, and the others workers
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=20))]
    pub nodes: u8,
    /// How many of them are managers; an odd number
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=7))]
    pub managers: u8,
    /// How many times everything is wiped and rebuilt
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub cycles: u32,
    /// The workload package
    #[arg(long, default_value = "workloads/catalog/docker-swarm", value_name = "DIR")]
    pub workload: PathBuf,
    /// Where the demo keeps its files
    #[arg(long, default_value = "target/demo", value_name = "DIR")]
    pub dir: PathBuf,
    /// Where the summary goes
    #[arg(long, default_value = "target/demo.json", value_name = "FILE")]
    pub summary: PathBuf,
    /// The network of the nodes; its upper half is for the load balancer
    #[arg(long, default_value = "172.30.77.0/24", value_name = "CIDR")]
    pub subnet: Ipv4Net,
    /// The name of that network, and part of the names of the nodes' containers
    #[arg(long, default_value = "rebar-demo", value_name = "NAME")]
    pub network: String,
    /// The port of the engine's API on the loopback
    #[arg(long, default_value_t = 18092, value_name = "PORT")]
    pub port: u16,
    /// The port that agents come in at
    #[arg(long, default_value_t = 18091, value_name = "PORT")]
    pub agents_port: u16,
}

/// How long a new node may take to report.
const NODE_PATIENCE: Duration = Duration::from_secs(120);
const DEPLOYMENT: &str = "demo";
const DOMAIN: &str = "rebar.test";

/// Runs the demo, or takes away what one left.
pub async fn run(args: Args) -> Result<()> {
    if args.clean {
        return engine::clean(&args).await;
    }
    engine::preflight(&args).await?;
    engine::clean(&args).await?;
    let engine = DemoEngine::start(&args).await?;
    let demo = Demo { client: engine.client().await?, engine, args };
    let summary = demo.play().await?;
    summary.write(&demo.args.summary)?;
    summary.print(&demo.args, &demo.engine);
    ensure!(summary.redeploys.iter().all(|it| it.ok), "a rebuild failed");
    Ok(())
}

struct Demo {
    args: Args,
    engine: DemoEngine,
    client: Client,
}

impl Demo {
    async fn play(&self) -> Result<Summary> {
        let deployment: DeploymentName = DEPLOYMENT.parse()?;
        let nodes: Vec<String> = (1..=self.args.nodes).map(|it| format!("demo-{it}")).collect();
        say("Take the workload in, and make the nodes");
        self.rebar(&["workload", "import", &path(&self.args.workload)?]).await?;
        let add: Vec<&str> = ["node", "add"].into_iter().chain(nodes.iter().map(String::as_str)).collect();
        self.rebar(&[&add[..], &["--provider", "docker"]].concat()).await?;
        self.nodes_report(&nodes).await?;
        self.rebar(&["node", "ls"]).await?;

        say("Bind it to the nodes, look at the plan, deploy");
        self.create(&nodes).await?;
        let started = Instant::now();
        self.rebar(&["apply", DEPLOYMENT, "--yes"]).await?;
        let deploy_seconds = started.elapsed().as_secs_f64();
        let fetched = self.fetch().await?;

        say("Apply again: nothing is to change");
        let before = self.newest_attempt(&deployment).await?;
        self.rebar(&["apply", DEPLOYMENT, "--yes"]).await?;
        let second_apply_changed = self.newest_attempt(&deployment).await? - before;

        say("Wipe and rebuild, with nobody's hand on it");
        let redeploys = self.prove().await?;
        let fetched_again = self.fetch().await?;
        Ok(Summary {
            nodes: self.args.nodes,
            deploy_seconds,
            fetched_through_lb: fetched && fetched_again,
            redeploys,
            second_apply_changed,
        })
    }

    async fn create(&self, nodes: &[String]) -> Result<()> {
        let reference = self.client.workloads().await?.first().map(|it| it.reference.clone()).context("no workload")?;
        let (managers, workers) = nodes
            .split_at_checked(usize::from(self.args.managers))
            .filter(|(_, workers)| !workers.is_empty())
            .context("the demo needs a worker besides the managers: say more --nodes or fewer --managers")?;
        let (manager, workers) = (format!("manager={}", managers.join(",")), format!("worker={}", workers.join(",")));
        let pool = format!("vip_pool={}", engine::vip_pool(self.args.subnet)?);
        self.rebar(&[
            "deployment",
            "create",
            DEPLOYMENT,
            "--workload",
            &reference,
            "--group",
            &manager,
            "--group",
            &workers,
            "--set",
            &pool,
            "--set",
            "publish_mode=host",
            "--set",
            "endpoint_mode=dnsrr",
        ])
        .await
    }

    /// Waits until every node has come and said what it is.
    async fn nodes_report(&self, names: &[String]) -> Result<()> {
        let names: Vec<NodeName> = names.iter().map(|it| it.parse()).collect::<Result<_, _>>()?;
        let all_here = async {
            let mut look = tokio::time::interval(Duration::from_millis(200));
            loop {
                look.tick().await;
                let nodes = self.client.nodes(None).await?;
                let here = |name: &NodeName| nodes.iter().any(|it| it.node.name == *name && it.node.facts.is_some());
                if names.iter().all(here) {
                    return Ok(());
                }
            }
        };
        match tokio::time::timeout(NODE_PATIENCE, all_here).await {
            Ok(result) => result,
            Err(_) => bail!("the nodes did not come within {NODE_PATIENCE:?}; look at {}", self.engine.log.display()),
        }
    }

    async fn newest_attempt(&self, deployment: &DeploymentName) -> Result<u64> {
        let newest = self.client.attempts(Some(deployment), None, Some(1)).await?;
        Ok(newest.first().map_or(0, |it| it.id.0))
    }

    async fn fetch(&self) -> Result<bool> {
        let name = format!("{DEPLOYMENT}.{DOMAIN}");
        let url = format!("http://{name}:8080/");
        let page = page::fetch(engine::gateway(self.args.subnet)?, &name, 8080).await?;
        anstream::eprintln!("\n{url} says, through the load balancer at {}:", page.address);
        for line in page.text.lines().filter(|it| !it.trim().is_empty()).take(4) {
            anstream::eprintln!("  {line}");
        }
        Ok(!page.text.trim().is_empty())
    }

    async fn prove(&self) -> Result<Vec<Redeploy>> {
        let record = self.args.dir.join("prove.json");
        let cycles = self.args.cycles.to_string();
        let yes = format!("--yes={DEPLOYMENT}");
        let file = path(&record)?;
        let proved = self.rebar(&["prove", DEPLOYMENT, "--cycles", &cycles, &yes, "--record", &file]).await;
        match summary::redeploys(&record) {
            Ok(redeploys) => Ok(redeploys),
            Err(error) => proved.and(Err(error)),
        }
    }

    /// Runs this very program as a person would, and shows the command.
    async fn rebar(&self, arguments: &[&str]) -> Result<()> {
        let bold = anstyle::Style::new().bold();
        anstream::eprintln!("\n{bold}$ rebar {}{bold:#}", arguments.join(" "));
        let status = tokio::process::Command::new(std::env::current_exe()?)
            .args(arguments)
            .envs(self.engine.environment()?)
            .stdin(Stdio::null())
            .status()
            .await?;
        ensure!(
            status.success(),
            "`rebar {}` ended with {status}; the engine's log is {}",
            arguments.join(" "),
            self.engine.log.display()
        );
        Ok(())
    }
}

fn say(what: &str) {
    let style = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Cyan.into()));
    anstream::eprintln!("\n{style}== {what}{style:#}");
}

fn path(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path that is not UTF-8")?.to_owned())
}
