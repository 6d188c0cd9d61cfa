//! `rebar serve`: the engine. How it is set up and ended is here; how it is put together is `serve/house.rs`, the only place that
//! names adapters with `serve/services.rs`.

mod house;
mod services;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Result;
use ipnet::Ipv4Net;
use rebar_model::{ReleaseKey, World};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

use self::house::House;

/// Between two tries to lead with a database that was there before.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// How the engine is set up.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The engine's own directory: keys, the first token, and the database unless --database says otherwise
    #[arg(long, env = "REBAR_DATA", default_value = "/var/lib/rebar", value_name = "DIR")]
    pub data: PathBuf,
    /// Where everything is remembered: a file, sqlite:///FILE, or postgres://USER@HOST/NAME [default: DIR/rebar.db]
    #[arg(long, env = "REBAR_DATABASE", value_name = "URL", hide_env_values = true)]
    pub database: Option<String>,
    /// Where operators and tools come in (HTTPS)
    #[arg(long, env = "REBAR_LISTEN_API", default_value = "127.0.0.1:8092", value_name = "ADDRESS")]
    pub listen_api: SocketAddr,
    /// Where agents come in (gRPC over mutual TLS)
    #[arg(long, env = "REBAR_LISTEN_AGENTS", default_value = "0.0.0.0:8091", value_name = "ADDRESS")]
    pub listen_agents: SocketAddr,
    /// Where agents find the engine, as seen from the nodes; of several on one database all, with commas between them [default: the
    /// gateway of the docker network]
    #[arg(long, env = "REBAR_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Further names and addresses that the engine's certificate is valid for
    #[arg(long = "san", env = "REBAR_SANS", value_delimiter = ',', value_name = "NAME")]
    pub sans: Vec<String>,
    /// Where the DNS server listens; none turns it off
    #[arg(long = "dns-listen", env = "REBAR_DNS_LISTEN", value_delimiter = ',', value_name = "ADDRESS")]
    pub dns_listen: Vec<SocketAddr>,
    /// The zones that it answers for
    #[arg(
        long = "dns-zone",
        env = "REBAR_DNS_ZONES",
        value_delimiter = ',',
        default_value = "rebar.test",
        value_name = "ZONE"
    )]
    pub dns_zones: Vec<String>,
    /// Resolvers that it asks about other names
    #[arg(long = "dns-upstream", env = "REBAR_DNS_UPSTREAMS", value_delimiter = ',', value_name = "ADDRESS")]
    pub dns_upstreams: Vec<SocketAddr>,
    /// The interface that gets the addresses of VIPs that this host does not have
    #[arg(long, env = "REBAR_LB_INTERFACE", value_name = "NAME")]
    pub lb_interface: Option<String>,
    /// The Docker network that nodes of the docker provider live on
    #[arg(long, env = "REBAR_DOCKER_NETWORK", default_value = "rebar", value_name = "NAME")]
    pub docker_network: String,
    /// Its subnet
    #[arg(long, env = "REBAR_DOCKER_SUBNET", default_value = "172.30.0.0/24", value_name = "CIDR")]
    pub docker_subnet: Ipv4Net,
    /// The part of it that nodes get addresses from
    #[arg(long, env = "REBAR_DOCKER_RANGE", default_value = "172.30.0.0/26", value_name = "CIDR")]
    pub docker_range: Ipv4Net,
    /// Make the Docker network and the node image at the start, so that the DNS server can listen on its gateway
    #[arg(long, env = "REBAR_DOCKER_PREPARE")]
    pub docker_prepare: bool,
    /// The bridge that light nodes, those of the namespace provider, live on; at most 15 characters
    #[arg(long, env = "REBAR_NAMESPACE_NETWORK", default_value = "rebar-light", value_name = "NAME")]
    pub namespace_network: String,
    /// Its subnet
    #[arg(long, env = "REBAR_NAMESPACE_SUBNET", default_value = "172.31.0.0/16", value_name = "CIDR")]
    pub namespace_subnet: Ipv4Net,
    /// The part of it that light nodes get addresses from
    #[arg(long, env = "REBAR_NAMESPACE_RANGE", default_value = "172.31.0.0/17", value_name = "CIDR")]
    pub namespace_range: Ipv4Net,
    /// Where light nodes are kept, on a file system that overlayfs can write to
    #[arg(long, env = "REBAR_NAMESPACE_STATE", default_value = "/var/lib/rebar-nodes", value_name = "DIR")]
    pub namespace_state: PathBuf,
    /// Make the bridge of light nodes at the start, so that the DNS server can listen on its address
    #[arg(long, env = "REBAR_NAMESPACE_PREPARE")]
    pub namespace_prepare: bool,
    /// The agent that is put into nodes of the docker and namespace providers [default: rebar-agent beside this program]
    #[arg(long, env = "REBAR_AGENT_BINARY", value_name = "FILE")]
    pub agent_binary: Option<PathBuf>,
    /// The public keys whose releases of the agent are taken in, and that new agents are given; `rebar agent release key` makes one
    #[arg(long = "release-key", env = "REBAR_RELEASE_KEYS", value_delimiter = ',', value_name = "KEY")]
    pub release_keys: Vec<ReleaseKey>,
    /// How the log on standard error is written; REBAR_LOG says how much, as in `info,rebar_gateway=debug`
    #[arg(long, env = "REBAR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line an event, for people.
    Text,
    /// A JSON object an event.
    Json,
}

/// Serves until a signal asks it to end.
pub async fn run(args: Args) -> Result<()> {
    trace(args.log_format);
    raise_open_files();
    let stop = CancellationToken::new();
    let signals = tokio::spawn(stop_on_signal(stop.clone()));
    let served = serve(args, &stop).await;
    stop.cancel();
    signals.await?;
    served
}

/// Leads or stands by, for as long as nobody asks it to end.
async fn serve(args: Args, stop: &CancellationToken) -> Result<()> {
    let house = House::open(args).await?;
    // What this engine knew when it led last.
    let mut known: Option<World> = None;
    while !stop.is_cancelled() {
        let turn = async {
            let leads = house.stand_by(known.clone(), stop).await?;
            if leads { house.lead(stop).await.map(Some) } else { Ok(None) }
        };
        match turn.await {
            Ok(world) => known = world.or(known),
            // The database may be gone again before this engine leads.
            Err(error) if known.is_some() => {
                tracing::error!(error = format!("{error:#}"), "this engine cannot lead; trying again");
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(DATABASE_PAUSE) => {}
                }
            }
            Err(error) => return Err(error),
        }
    }
    house.close().await;
    Ok(())
}

/// Every agent is an open file, and the usual soft limit is 1,024.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, open_files = ?limit.current, "the limit of open files stays as it is");
    }
}

/// Writes the log to standard error. A subscriber that is there already, as in a test, stays.
fn trace(format: LogFormat) {
    // The DNS library warns about every name that it has nothing for.
    let filter = tracing_subscriber::EnvFilter::try_from_env("REBAR_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,hickory_server=error,hickory_net=error"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::warn!("signals cannot be caught");
        return stop.cancelled().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = stop.cancelled() => {}
    }
    stop.cancel();
}
