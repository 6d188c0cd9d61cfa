//! `rebar serve`: the engine. The only place that names adapters: it opens the database, starts the services, the engine, the
//! agents' door and the operators' door, and ends them together.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, Result};
use async_trait::async_trait;
use ipnet::{IpNet, Ipv4Net};
use rebar_gateway::{Gateway, GatewayConfig};
use rebar_model::{Actor, ApiToken, ProviderKind, TokenHash};
use rebar_orchestrator::{Engine, Handle, Listing, Ports, ServiceKind};
use rebar_ports::{Authority, Clock, Provider, Service, Store};
use rebar_providers::{DockerConfig, DockerProvider, JoinProvider};
use rebar_scheduler::Command;
use rebar_services::{
    AuthorityConfig, Dns, DnsConfig, EngineAuthority, Ipam, LbConfig, LoadBalancer, Pki, PkiConfig, Waits,
};
use rebar_store_sql::{SealKey, SqlStore};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    data_dir::DataDir,
    system::{SystemClock, SystemEntropy},
};

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
    /// Where agents find the engine, as seen from the nodes [default: the gateway of the docker network]
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
    /// The agent that is put into nodes of the docker provider [default: rebar-agent beside this program]
    #[arg(long, env = "REBAR_AGENT_BINARY", value_name = "FILE")]
    pub agent_binary: Option<PathBuf>,
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
    let stop = CancellationToken::new();
    let signals = tokio::spawn(stop_on_signal(stop.clone()));
    let served = serve(args, stop.clone()).await;
    stop.cancel();
    signals.await?;
    served
}

async fn serve(args: Args, stop: CancellationToken) -> Result<()> {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let data = DataDir::open(&args.data)?;
    let key = SealKey::new(data.seal_key(entropy.as_ref())?);
    let address = args.database.clone().unwrap_or_else(|| data.file("rebar.db").display().to_string());
    let store = Arc::new(SqlStore::open(&address, key).await.context("the database cannot be opened")?);
    let authority = Arc::new(EngineAuthority::start(AuthorityConfig::default(), store.as_ref(), clock.now()).await?);
    let ca = data.write_ca(authority.ca_pem())?;
    let docker = Arc::new(docker(&args)?);
    if args.docker_prepare {
        docker.check().await?;
        docker.prepare().await?;
    }
    let services = Services::start(&args, store.clone(), clock.clone()).await?;
    let api =
        TcpListener::bind(args.listen_api).await.with_context(|| format!("cannot listen on {}", args.listen_api))?;
    let agents = TcpListener::bind(args.listen_agents)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen_agents))?;
    let providers: BTreeMap<ProviderKind, Arc<dyn Provider>> = BTreeMap::from([
        (ProviderKind::Docker, docker as Arc<dyn Provider>),
        (ProviderKind::Join, Arc::new(JoinProvider)),
    ]);
    let holder = data.holder(entropy.as_ref())?;
    // The directory is locked, so an engine that led under this name is dead: its lease need not run out first.
    store.resign(&holder).await?;
    let ports = Ports {
        store: store.clone(),
        logs: store.clone(),
        blobs: store.clone(),
        vault: store.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        services: services.list(),
        listings: services.listings(),
        providers,
        advertise: advertise(&args, agents.local_addr()?),
        ca_fingerprint: authority.ca_fingerprint().to_owned(),
        holder,
    };
    let engine = Engine::start(ports, stop.clone()).await?;
    let handle = engine.handle();
    let token = data.admin_token(entropy.as_ref())?;
    know_admin(&handle, &token).await?;
    let bound = api.local_addr()?;
    greet(bound, &data, &ca);
    let gateway = Gateway::serve(
        agents,
        Arc::new(handle.clone()),
        authority.clone(),
        clock.clone(),
        GatewayConfig { sans: args.sans.clone(), ..GatewayConfig::default() },
        stop.clone(),
    );
    let config = rebar_api::Config { sans: sans(&args, bound.ip()) };
    let api = rebar_api::serve(api, handle, authority, clock, config, stop.clone());
    let (gateway, api) = tokio::join!(ending(gateway, &stop), ending(api, &stop));
    engine.join().await;
    services.shutdown().await;
    store.close().await;
    gateway.context("the agents' door")?;
    api.context("the operators' door")
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

/// One door that closes closes the house.
async fn ending<E>(door: impl Future<Output = Result<(), E>>, stop: &CancellationToken) -> Result<(), E> {
    let result = door.await;
    stop.cancel();
    result
}

fn docker(args: &Args) -> Result<DockerProvider> {
    let agent_binary = match &args.agent_binary {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("rebar-agent"),
    };
    let gateway = first_host(args.docker_subnet);
    let config = DockerConfig {
        network: args.docker_network.clone(),
        subnet: args.docker_subnet,
        ip_range: args.docker_range,
        gateway,
        agent_binary,
        ..DockerConfig::default()
    };
    Ok(DockerProvider::new(config)?)
}

fn first_host(subnet: Ipv4Net) -> std::net::Ipv4Addr {
    subnet.hosts().next().unwrap_or_else(|| subnet.network())
}

/// Where agents find the engine.
fn advertise(args: &Args, bound: SocketAddr) -> String {
    match &args.advertise {
        Some(it) => it.clone(),
        None if bound.ip().is_unspecified() => format!("{}:{}", first_host(args.docker_subnet), bound.port()),
        None => bound.to_string(),
    }
}

fn sans(args: &Args, bound: IpAddr) -> Vec<String> {
    let mut sans = args.sans.clone();
    sans.push("localhost".to_owned());
    sans.push(if bound.is_unspecified() { "127.0.0.1".to_owned() } else { bound.to_string() });
    sans
}

/// Makes the first operator's token known, if it is not.
async fn know_admin(handle: &Handle, token: &str) -> Result<()> {
    let hash = TokenHash::of(token);
    if !handle.read(|world| world.api_tokens().contains_key(&hash)) {
        let token = ApiToken { hash, name: "admin".to_owned(), created_at: handle.now(), expires_at: None };
        handle.command(Actor::engine(), Command::PutApiToken { token }).await?;
    }
    Ok(())
}

fn greet(api: SocketAddr, data: &DataDir, ca: &std::path::Path) {
    anstream::eprintln!("rebar {} serves on https://{api}", env!("CARGO_PKG_VERSION"));
    anstream::eprintln!(
        "log in with  rebar login https://{api} --token-file {} --ca-file {}",
        data.file("admin.token").display(),
        ca.display()
    );
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

/// The embedded services.
struct Services {
    dns: Option<Arc<Dns>>,
    ipam: Arc<Ipam>,
    lb: Arc<LoadBalancer>,
    pki: Arc<Pki>,
    waits: Arc<Waits>,
}

impl Services {
    async fn start(args: &Args, store: Arc<SqlStore>, clock: Arc<SystemClock>) -> Result<Self> {
        let dns = if args.dns_listen.is_empty() {
            None
        } else {
            let nodes = IpNet::V4(args.docker_subnet);
            let defaults = DnsConfig::default();
            let config = DnsConfig {
                listen: args.dns_listen.clone(),
                zones: args.dns_zones.clone(),
                upstreams: args.dns_upstreams.clone(),
                forward_for: defaults.forward_for.into_iter().chain([nodes]).collect(),
            };
            Some(Arc::new(Dns::start(config, clock.clone()).await.context("the DNS server")?))
        };
        let lb = LbConfig { interface: args.lb_interface.clone(), ..LbConfig::default() };
        Ok(Self {
            dns,
            ipam: Arc::new(Ipam::start(store.clone()).await?),
            lb: Arc::new(LoadBalancer::start(lb).await?),
            pki: Arc::new(Pki::start(PkiConfig::default(), store, clock).await?),
            waits: Arc::new(Waits::start()),
        })
    }

    fn list(&self) -> Vec<Arc<dyn Service>> {
        let mut services: Vec<Arc<dyn Service>> =
            vec![self.ipam.clone(), self.lb.clone(), self.pki.clone(), self.waits.clone()];
        if let Some(dns) = &self.dns {
            services.push(dns.clone());
        }
        services
    }

    fn listings(&self) -> BTreeMap<ServiceKind, Arc<dyn Listing>> {
        let mut listings: BTreeMap<ServiceKind, Arc<dyn Listing>> = BTreeMap::from([
            (ServiceKind::Ipam, Arc::new(Shown(self.ipam.clone(), |it: &Ipam| json(it.listing()))) as Arc<dyn Listing>),
            (ServiceKind::Lb, Arc::new(Shown(self.lb.clone(), |it: &LoadBalancer| json(it.listing())))),
            (ServiceKind::Pki, Arc::new(Shown(self.pki.clone(), |it: &Pki| json(it.listing())))),
        ]);
        if let Some(dns) = &self.dns {
            listings.insert(ServiceKind::Dns, Arc::new(Shown(dns.clone(), |it: &Dns| json(it.listing()))));
        }
        listings
    }

    async fn shutdown(&self) {
        if let Some(dns) = &self.dns {
            dns.shutdown().await;
        }
        self.lb.shutdown().await;
        self.waits.shutdown().await;
    }
}

/// A service that is shown through one of its functions.
struct Shown<T>(Arc<T>, fn(&T) -> serde_json::Value);

#[async_trait]
impl<T: Send + Sync + 'static> Listing for Shown<T> {
    async fn list(&self) -> serde_json::Value {
        (self.1)(&self.0)
    }
}

fn json(listing: impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(listing).unwrap_or_default()
}
