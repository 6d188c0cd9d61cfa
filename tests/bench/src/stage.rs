//! The real engine over a real database, with nodes and a deployment, ready to be measured. Who plays the agents is `agents.rs`.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use rebar_conformance::postgres::Server;
use rebar_model::{
    Actor, Connection, DeploymentName, DeploymentSpec, Digest, EnrolToken, Node, NodeMode, NodeName, Plan,
    ProviderKind, Span, State, TokenHash, Workload,
};
use rebar_orchestrator::{Engine, Handle, Ports};
use rebar_ports::{Blobs as _, Clock as _};
use rebar_scheduler::Command;
use rebar_store_sql::{SealKey, SqlStore};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    shape::{Shape, Work, name},
    system::{SystemClock, SystemEntropy},
};

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Database {
    /// A file, every commit on disk (`synchronous=FULL`).
    Sqlite,
    /// A server of its own, every commit on disk.
    Postgres,
}

/// A running engine with a database of its own; both are gone when it is dropped.
pub struct Stage {
    pub handle: Handle,
    pub vault: Arc<SqlStore>,
    engine: Engine,
    stop: CancellationToken,
    _server: Option<Server>,
    _directory: Option<TempDir>,
}

impl Stage {
    /// Starts an engine on an empty database.
    pub async fn start(database: Database) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("rebar-bench-").tempdir()?;
        let (server, address) = match database {
            Database::Sqlite => (None, directory.path().join("rebar.db").display().to_string()),
            Database::Postgres => {
                let server = Server::start()?;
                let address = server.database("bench")?;
                (Some(server), address)
            }
        };
        Self::open(&address, server, Some(directory)).await
    }

    /// Starts an engine on a SQLite database in a directory that somebody else keeps.
    pub async fn in_directory(directory: &Path) -> Result<Self> {
        Self::open(&directory.join("rebar.db").display().to_string(), None, None).await
    }

    async fn open(address: &str, server: Option<Server>, directory: Option<TempDir>) -> Result<Self> {
        let store = Arc::new(SqlStore::open(address, SealKey::new([7; 32])).await?);
        let ports = Ports {
            store: store.clone(),
            logs: store.clone(),
            blobs: store.clone(),
            vault: store.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            services: Vec::new(),
            listings: BTreeMap::new(),
            providers: BTreeMap::new(),
            advertise: "127.0.0.1:1".to_owned(),
            ca_fingerprint: String::new(),
            release_keys: Vec::new(),
            holder: "bench".to_owned(),
        };
        let stop = CancellationToken::new();
        let engine = Engine::start(ports, stop.clone()).await?;
        Ok(Self { handle: engine.handle(), vault: store, engine, stop, _server: server, _directory: directory })
    }

    /// Adds nodes, with the names `n0000` and so on.
    pub async fn add_nodes(&self, count: usize) -> Result<Vec<NodeName>> {
        let mut nodes = Vec::with_capacity(count);
        for at in 0..count {
            let node: NodeName = name(&format!("n{at:04}"))?;
            self.add_node(&node).await?;
            nodes.push(node);
        }
        Ok(nodes)
    }

    /// Adds a node.
    pub async fn add_node(&self, name: &NodeName) -> Result<()> {
        let (node, token) = node(name);
        self.command(Command::AddNode { node: Box::new(node), token }).await
    }

    /// Makes the deployment `bench` of a shape on nodes.
    pub async fn deploy(&self, shape: Shape, nodes: &[NodeName]) -> Result<()> {
        self.deploy_as(Work::Simulated, shape, nodes).await
    }

    /// The same for those who really work.
    pub async fn deploy_as(&self, work: Work, shape: Shape, nodes: &[NodeName]) -> Result<()> {
        let workload = Arc::new(match work {
            Work::Simulated => shape.workload()?,
            Work::Script => self.real_workload(shape).await?,
        });
        let spec = spec(workload.digest, nodes)?;
        self.command(Command::ImportWorkload { workload }).await?;
        self.command(Command::CreateDeployment { name: deployment()?, spec }).await
    }

    /// A workload whose content agents can fetch.
    async fn real_workload(&self, shape: Shape) -> Result<Workload> {
        let import = rebar_manifest::read(&shape.package()?, &[]).map_err(|mistakes| anyhow!("{mistakes:?}"))?;
        for (digest, archive) in &import.archives {
            self.vault.put(*digest, archive).await?;
        }
        Ok(import.workload)
    }

    /// Has the deployment be on other nodes, once a plan is accepted.
    pub async fn move_to(&self, nodes: &[NodeName]) -> Result<()> {
        let name = deployment()?;
        let workload = self.handle.read(|world| world.deployments().get(&name).map(|it| it.spec.workload));
        let spec = spec(workload.context("there is no deployment")?, nodes)?;
        self.command(Command::ChangeDeployment { name, spec }).await
    }

    /// The plan as it is now.
    pub fn plan(&self) -> Result<Arc<Plan>> {
        self.handle.plan(&deployment()?, None).context("the engine made no plan")
    }

    /// Accepts a plan.
    pub async fn accept(&self, plan: &Plan) -> Result<()> {
        self.command(Command::Accept {
            deployment: deployment()?,
            plan: plan.id,
            made: None,
            towards: None,
            grants: Vec::new(),
            allowed: Vec::new(),
        })
        .await
    }

    /// Has the engine do something; durable when it returns.
    pub async fn command(&self, command: Command) -> Result<()> {
        let by = Actor("bench".to_owned());
        self.handle.command(by, command).await.context("the engine refused a command of the measurement")
    }

    /// Whether every node-role is active.
    pub fn all_active(&self) -> bool {
        self.handle.read(|world| world.node_roles().values().all(|it| matches!(it.status.state, State::Active { .. })))
    }

    /// Ends the engine.
    pub async fn end(self) {
        self.stop.cancel();
        self.engine.join().await;
    }
}

/// A node that is ready, with the token of its agent.
pub fn node(name: &NodeName) -> (Node, EnrolToken) {
    let now = SystemClock.now();
    let token = EnrolToken {
        hash: TokenHash::of(name.as_str()),
        node: name.clone(),
        expires_at: Span::from_secs(3_600).after(now),
        used_at: None,
    };
    let node = Node {
        name: name.clone(),
        provider: ProviderKind::Join,
        machine: None,
        labels: BTreeMap::new(),
        profiles: Vec::new(),
        mode: NodeMode::Ready,
        facts: None,
        connection: Connection::Never,
        added_at: now,
    };
    (node, token)
}

fn spec(workload: Digest, nodes: &[NodeName]) -> Result<DeploymentSpec> {
    let groups = BTreeMap::from([(name("all")?, nodes.to_vec())]);
    Ok(DeploymentSpec { workload, groups, profiles: Vec::new() })
}

/// The deployment that is measured.
pub fn deployment() -> Result<DeploymentName> {
    name("bench")
}
