//! How an engine is put together: the database, its own authority, the doors, the services. One engine leads; another on the same
//! database stands by: it answers who only wants to look, and leads when the first is gone.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use rebar_gateway::{Gateway, GatewayConfig};
use rebar_model::{Actor, ApiToken, ProviderKind, TokenHash, World};
use rebar_orchestrator::{Engine, Handle, Ports, Standby};
use rebar_ports::{Authority, Clock, Provider, Store};
use rebar_providers::{DockerConfig, DockerProvider, JoinProvider, NamespaceConfig, NamespaceProvider};
use rebar_scheduler::Command;
use rebar_services::{AuthorityConfig, EngineAuthority};
use rebar_store_sql::{SealKey, SqlStore};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Args, services::Services};
use crate::{
    data_dir::DataDir,
    system::{SystemClock, SystemEntropy},
};

/// Everything of an engine that is there whether it leads or not.
pub(super) struct House {
    args: Args,
    data: DataDir,
    store: Arc<SqlStore>,
    authority: Arc<EngineAuthority>,
    /// The operators' door: open all the time, so that a standby can be asked too.
    api: std::net::TcpListener,
    /// Who this engine is, among those on one database.
    holder: String,
}

impl House {
    /// Opens the database and the operators' door.
    pub(super) async fn open(args: Args) -> Result<Self> {
        let data = DataDir::open(&args.data)?;
        let key = SealKey::new(data.seal_key(&SystemEntropy)?);
        let address = args.database.clone().unwrap_or_else(|| data.file("rebar.db").display().to_string());
        let store = Arc::new(SqlStore::open(&address, key).await.context("the database cannot be opened")?);
        let authority = EngineAuthority::start(AuthorityConfig::default(), store.as_ref(), SystemClock.now()).await;
        let authority = authority.with_context(|| {
            let key = data.file("seal.key");
            format!("the engine's own authority cannot be opened; engines on one database share one {}", key.display())
        })?;
        data.write_ca(authority.ca_pem())?;
        let holder = data.holder(&SystemEntropy)?;
        // The directory is locked, so an engine that led under this name is dead: its lease need not run out first.
        store.resign(&holder).await?;
        let api = std::net::TcpListener::bind(args.listen_api);
        let api = api.with_context(|| format!("cannot listen on {}", args.listen_api))?;
        api.set_nonblocking(true)?;
        Ok(Self { args, data, store, authority: Arc::new(authority), api, holder })
    }

    /// Stands by until this engine leads: false when it is stopped before. One that has led outlives its database, with the World
    /// that it knew: agents and operators are told to wait, and nothing is lost.
    pub(super) async fn stand_by(&self, known: Option<World>, stop: &CancellationToken) -> Result<bool> {
        let now = SystemClock.now();
        if known.is_none() {
            if self.store.lead(&self.holder, now, rebar_orchestrator::LEASE_TTL).await?.is_some() {
                return Ok(true);
            }
            tracing::info!("another engine leads; standing by");
        }
        let standby = Standby::start(self.ports(None, BTreeMap::new(), String::new()), known).await?;
        anstream::eprintln!("rebar {} stands by on https://{}", env!("CARGO_PKG_VERSION"), self.api.local_addr()?);
        let standing = stop.child_token();
        let door = self.operators(standby.handle(), standing.clone())?;
        let leading = async {
            let epoch = standby.lead(&standing).await;
            standing.cancel();
            epoch
        };
        let (door, epoch) = tokio::join!(ending(door, &standing), leading);
        door.context("the operators' door")?;
        Ok(epoch.is_some())
    }

    /// Leads until stopped, until another engine leads, or until nobody can: the World as it was then.
    pub(super) async fn lead(&self, stop: &CancellationToken) -> Result<World> {
        let docker = Arc::new(docker(&self.args)?);
        if self.args.docker_prepare {
            docker.check().await?;
            docker.prepare().await?;
        }
        let light = Arc::new(light(&self.args)?);
        if self.args.namespace_prepare {
            light.prepare().await?;
        }
        let services = Services::start(&self.args, self.store.clone(), Arc::new(SystemClock)).await?;
        let agents = Gateway::listen(self.args.listen_agents)
            .with_context(|| format!("cannot listen on {}", self.args.listen_agents))?;
        let providers: BTreeMap<ProviderKind, Arc<dyn Provider>> = BTreeMap::from([
            (ProviderKind::Docker, docker as Arc<dyn Provider>),
            (ProviderKind::Join, Arc::new(JoinProvider)),
            (ProviderKind::Namespace, light),
        ]);
        let ports = self.ports(Some(&services), providers, advertise(&self.args, agents.local_addr()?));
        let leading = stop.child_token();
        let engine = Engine::start(ports, leading.clone()).await?;
        let handle = engine.handle();
        let token = self.data.admin_token(&SystemEntropy)?;
        know_admin(&handle, &token).await?;
        self.greet()?;
        let gateway = Gateway::serve(
            agents,
            Arc::new(handle.clone()),
            self.authority.clone(),
            Arc::new(SystemClock),
            GatewayConfig { sans: self.args.sans.clone(), ..GatewayConfig::default() },
            leading.clone(),
        );
        let operators = self.operators(handle.clone(), leading.clone())?;
        // An engine that ends closes its doors, and the other way round.
        let (gateway, operators, ()) =
            tokio::join!(ending(gateway, &leading), ending(operators, &leading), engine.join());
        services.shutdown().await;
        gateway.context("the agents' door")?;
        operators.context("the operators' door")?;
        Ok(handle.read(World::clone))
    }

    /// Closes the database.
    pub(super) async fn close(self) {
        self.store.close().await;
    }

    fn ports(
        &self,
        services: Option<&Services>,
        providers: BTreeMap<ProviderKind, Arc<dyn Provider>>,
        advertise: String,
    ) -> Ports {
        Ports {
            store: self.store.clone(),
            logs: self.store.clone(),
            blobs: self.store.clone(),
            vault: self.store.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            services: services.map(Services::list).unwrap_or_default(),
            listings: services.map(Services::listings).unwrap_or_default(),
            providers,
            advertise,
            ca_fingerprint: self.authority.ca_fingerprint().to_owned(),
            release_keys: self.args.release_keys.clone(),
            holder: self.holder.clone(),
        }
    }

    /// The operators' door, in front of a handle.
    fn operators(
        &self,
        handle: Handle,
        stop: CancellationToken,
    ) -> Result<impl Future<Output = Result<(), rebar_api::ServeError>> + use<>> {
        let listener = TcpListener::from_std(self.api.try_clone()?)?;
        let sans = sans(&self.args, self.api.local_addr()?.ip());
        let config = rebar_api::Config { sans, ..rebar_api::Config::default() };
        Ok(rebar_api::serve(listener, handle, self.authority.clone(), Arc::new(SystemClock), config, stop))
    }

    fn greet(&self) -> Result<()> {
        let api = self.api.local_addr()?;
        anstream::eprintln!("rebar {} serves on https://{api}", env!("CARGO_PKG_VERSION"));
        anstream::eprintln!(
            "log in with  rebar login https://{api} --token-file {} --ca-file {}",
            self.data.file("admin.token").display(),
            self.data.file("ca.pem").display()
        );
        Ok(())
    }
}

/// One door that closes closes the house.
async fn ending<E>(door: impl Future<Output = Result<(), E>>, stop: &CancellationToken) -> Result<(), E> {
    let result = door.await;
    stop.cancel();
    result
}

fn agent_binary(args: &Args) -> Result<PathBuf> {
    match &args.agent_binary {
        Some(path) => Ok(path.clone()),
        None => Ok(std::env::current_exe()?.with_file_name("rebar-agent")),
    }
}

fn docker(args: &Args) -> Result<DockerProvider> {
    let gateway = first_host(args.docker_subnet);
    let config = DockerConfig {
        network: args.docker_network.clone(),
        subnet: args.docker_subnet,
        ip_range: args.docker_range,
        gateway,
        agent_binary: agent_binary(args)?,
        ..DockerConfig::default()
    };
    Ok(DockerProvider::new(config)?)
}

fn light(args: &Args) -> Result<NamespaceProvider> {
    let gateway = first_host(args.namespace_subnet);
    // Nobody said how nodes reach the engine: light ones do at the bridge, which the others do not know.
    let everywhere = args.advertise.is_none() && args.listen_agents.ip().is_unspecified();
    let config = NamespaceConfig {
        network: args.namespace_network.clone(),
        subnet: args.namespace_subnet,
        range: args.namespace_range,
        gateway,
        engine: everywhere.then(|| format!("{gateway}:{}", args.listen_agents.port())),
        state: args.namespace_state.clone(),
        agent_binary: agent_binary(args)?,
        ..NamespaceConfig::default()
    };
    Ok(NamespaceProvider::new(config)?)
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
