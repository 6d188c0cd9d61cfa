//! The engine of a demo: started as a process of its own that outlives the demo, and found again by its pid file.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use ipnet::Ipv4Net;
use rebar_providers::{DockerConfig, DockerProvider};
use rustix::process::{Pid, Signal};

use super::Args;
use crate::client::{Client, Trust};

/// How long the engine may take to answer; the first start makes the node image.
const START_PATIENCE: Duration = Duration::from_secs(600);
/// How long it may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// The running engine of a demo.
pub(super) struct DemoEngine {
    pub url: String,
    pub token_file: PathBuf,
    pub ca_file: PathBuf,
    pub log: PathBuf,
}

/// Says plainly what is missing when the demo cannot run here.
pub(super) async fn preflight(args: &Args) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the demo makes networks and machines: run it as root, as in `sudo make demo`");
    }
    if !args.workload.join("workload.yaml").is_file() {
        bail!(
            "{} holds no workload.yaml: run the demo in Rebar's directory, or say --workload DIR",
            args.workload.display()
        );
    }
    provider(args)?
        .check()
        .await
        .context("the demo needs Docker Engine; `tests/setup/docker.sh` installs and starts it")
}

/// Takes away what a demo left: the engine, its nodes, their network, its files.
pub(super) async fn clean(args: &Args) -> Result<()> {
    let pid_file = args.dir.join("engine.pid");
    if let Some(pid) = running(&pid_file) {
        rustix::process::kill_process(pid, Signal::TERM)?;
        let ended = async {
            let mut look = tokio::time::interval(Duration::from_millis(50));
            while running(&pid_file).is_some() {
                look.tick().await;
            }
        };
        if tokio::time::timeout(STOP_PATIENCE, ended).await.is_err() {
            bail!("the engine of the last demo, process {}, does not end", pid.as_raw_nonzero());
        }
    }
    let provider = provider(args)?;
    if provider.check().await.is_ok() {
        provider.clean().await?;
    }
    forget_vips(args).await?;
    if args.dir.exists() {
        fs::remove_dir_all(&args.dir).with_context(|| format!("{} cannot be removed", args.dir.display()))?;
    }
    Ok(())
}

/// Takes the load balancer's addresses off the loopback: an engine that ends leaves them, because it may come back.
async fn forget_vips(args: &Args) -> Result<()> {
    let pool = vip_pool(args.subnet)?.to_string();
    let flush = ["-4", "address", "flush", "dev", "lo", "label", "lo:*", "to", &pool];
    let status = tokio::process::Command::new("ip").args(flush).status().await.context("`ip` cannot be run")?;
    if !status.success() {
        bail!("`ip {}` ended with {status}", flush.join(" "));
    }
    Ok(())
}

/// The process of a pid file, if it is an engine that runs.
fn running(pid_file: &Path) -> Option<Pid> {
    let text = fs::read_to_string(pid_file).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?)?;
    // A pid may have been given to somebody else since.
    let command = fs::read_to_string(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
    command.split('\0').any(|it| it == "serve").then_some(pid)
}

fn provider(args: &Args) -> Result<DockerProvider> {
    let config = DockerConfig {
        network: args.network.clone(),
        subnet: args.subnet,
        ip_range: lower_half(args.subnet)?,
        gateway: gateway(args.subnet)?,
        agent_binary: std::env::current_exe()?.with_file_name("rebar-agent"),
        ..DockerConfig::default()
    };
    Ok(DockerProvider::new(config)?)
}

/// The engine's own address on the nodes' network.
pub(super) fn gateway(subnet: Ipv4Net) -> Result<Ipv4Addr> {
    subnet.hosts().next().context("the subnet has no addresses")
}

fn lower_half(subnet: Ipv4Net) -> Result<Ipv4Net> {
    subnet.subnets(subnet.prefix_len() + 1)?.next().context("the subnet is too small")
}

/// Where the load balancer takes its address from.
pub(super) fn vip_pool(subnet: Ipv4Net) -> Result<Ipv4Net> {
    subnet.subnets(subnet.prefix_len() + 1)?.nth(1).context("the subnet is too small")
}

impl DemoEngine {
    /// Starts the engine and waits until it answers.
    pub async fn start(args: &Args) -> Result<Self> {
        let data = args.dir.join("data");
        fs::create_dir_all(&args.dir)?;
        let dir = args.dir.canonicalize()?;
        let log = dir.join("engine.log");
        let gateway = gateway(args.subnet)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["serve", "--docker-prepare", "--docker-network", &args.network, "--lb-interface", "lo"])
            .arg("--data")
            .arg(&data)
            .args(["--listen-api", &format!("127.0.0.1:{}", args.port)])
            .args(["--listen-agents", &format!("0.0.0.0:{}", args.agents_port)])
            .args(["--docker-subnet", &args.subnet.to_string()])
            .args(["--docker-range", &lower_half(args.subnet)?.to_string()])
            .args(["--dns-listen", &format!("{gateway}:53"), "--dns-zone", super::DOMAIN])
            .stdin(Stdio::null())
            .stdout(fs::File::create(&log)?)
            .stderr(fs::File::options().append(true).open(&log)?)
            // A group of its own: Ctrl-C ends the demo, not the engine that it leaves to look at.
            .process_group(0);
        let mut child = command.spawn().context("the engine cannot be started")?;
        fs::write(dir.join("engine.pid"), child.id().to_string())?;
        let engine = Self {
            url: format!("https://127.0.0.1:{}", args.port),
            token_file: dir.join("data/admin.token"),
            ca_file: dir.join("data/ca.pem"),
            log,
        };
        super::say("Start an engine on SQLite; the first time this makes the image of the nodes, about a minute");
        let answers = async {
            let mut look = tokio::time::interval(Duration::from_millis(200));
            loop {
                look.tick().await;
                if let Some(status) = child.try_wait()? {
                    let log = fs::read_to_string(&engine.log).unwrap_or_default();
                    bail!("the engine ended with {status}:\n{log}");
                }
                if let Ok(client) = engine.client().await
                    && client.nodes(None).await.is_ok()
                {
                    return Ok(());
                }
            }
        };
        match tokio::time::timeout(START_PATIENCE, answers).await {
            Ok(result) => result.map(|()| engine),
            Err(_) => bail!("the engine does not answer; its log is {}", engine.log.display()),
        }
    }

    /// The way to it.
    pub async fn client(&self) -> Result<Client> {
        let ca = fs::read_to_string(&self.ca_file)?;
        let token = fs::read_to_string(&self.token_file)?;
        Ok(Client::open(&self.url, &Trust::Pem(ca), Some(token.trim())).await?)
    }

    /// What tells commands the way to it.
    pub fn environment(&self) -> Result<[(&'static str, String); 3]> {
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is not UTF-8");
        Ok([
            ("REBAR_URL", self.url.clone()),
            ("REBAR_TOKEN", fs::read_to_string(&self.token_file)?.trim().to_owned()),
            ("REBAR_CA_FILE", text(&self.ca_file)?),
        ])
    }
}
