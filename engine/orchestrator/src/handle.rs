//! The way to talk to the engine: cheap to clone, no channel shown. Agents come in through `door.rs`, nodes and their machines through
//! `nodes.rs`.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use rebar_manifest::Package;
use rebar_model::{
    Actor, AttemptId, DeploymentName, Node, NodeName, Phase, Plan, ProfileName, ProviderKind, ResourceId, Seq, Wishes,
    Workload, World,
};
use rebar_ports::{Logs, Store};
use rebar_scheduler::{Command, Input, Refusal};
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use crate::{EngineError, ImportError, owner::Message, shared::SharedRef};

/// The way to talk to the engine.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) shared: SharedRef,
}

/// A machine to take under care.
#[derive(Debug, Clone)]
pub struct AddNode {
    /// Its name.
    pub name: NodeName,
    /// Who makes it.
    pub provider: ProviderKind,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// The profiles whose parameters it takes.
    pub profiles: Vec<ProfileName>,
    /// Options of the provider.
    pub options: BTreeMap<String, String>,
}

/// A machine that is under care now.
#[derive(Debug, Clone)]
pub struct AddedNode {
    /// The node.
    pub node: Node,
    /// What a person has to do for it to come.
    pub instruction: Option<String>,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptProgress {
    /// The phase.
    pub phase: Option<Phase>,
    /// Percent, as the role said.
    pub percent: u32,
    /// One line, as the role said.
    pub text: String,
}

/// The services that the engine can list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceKind {
    /// Names.
    Dns,
    /// Addresses.
    Ipam,
    /// Load balancer.
    Lb,
    /// Certificates.
    Pki,
}

impl Handle {
    /// Has the engine do something; durable when it returns.
    pub async fn command(&self, by: Actor, command: Command) -> Result<(), EngineError> {
        let input = Input::Command { by: by.clone(), command };
        self.input(input, by).await
    }

    pub(crate) async fn input(&self, input: Input, by: Actor) -> Result<(), EngineError> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Input { input, by, reply: Some(reply) };
        self.shared.intake()?.inbox.send(message).await.map_err(|_| EngineError::Stopped)?;
        answer.await.map_err(|_| EngineError::Stopped)?
    }

    /// A short, consistent look at the World.
    pub fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        self.shared.read(look)
    }

    /// What applying the wishes of a deployment, or others in their place, would change; changes nothing. Refused by an engine that stands by: what it knows may
    /// be a moment old, and that nothing would change is what people act on.
    pub fn plan(&self, name: &DeploymentName, wishes: Option<&Wishes>) -> Result<Arc<Plan>, EngineError> {
        self.shared.intake()?;
        Ok(self.shared.propose(name, wishes).map_err(Refusal::BadPlan)?)
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.shared.ports.clock.now()
    }

    /// Resolves when history went past a change; the last one then.
    pub async fn past(&self, seq: Seq) -> Seq {
        let mut published = self.shared.published.subscribe();
        if let Ok(it) = published.wait_for(|it| *it > seq).await {
            return *it;
        }
        // The sender lives in what this handle shares, so this is never reached.
        std::future::pending().await
    }

    /// Imports a workload package: lints it, takes over what it uses, keeps the content of its roles, and makes it known. What is
    /// known already stays as it is: what a package took from others does not change when those get new versions.
    pub async fn import(&self, by: Actor, package: Package) -> Result<Arc<Workload>, ImportError> {
        self.shared.intake()?;
        let digest = package.digest();
        let known = || self.read(|world| world.workloads().get(&digest).cloned());
        if let Some(workload) = known() {
            return Ok(workload);
        }
        let there: Vec<_> = self.read(|world| world.workloads().values().cloned().collect());
        let import = rebar_manifest::read(&package, &there).map_err(ImportError::Lint)?;
        for (digest, archive) in &import.archives {
            self.shared.ports.blobs.put(*digest, archive).await.map_err(EngineError::Store)?;
        }
        let workload = Arc::new(import.workload);
        self.command(by, Command::ImportWorkload { workload: workload.clone() }).await?;
        // Somebody may have imported the same package a moment before; then theirs is the one that is remembered.
        Ok(known().unwrap_or(workload))
    }

    /// Seals a secret: the reference that stands in its place.
    pub async fn seal(&self, value: &Value) -> Result<Value, EngineError> {
        self.shared.intake()?;
        let reference = self.shared.ports.vault.seal(value.to_string().as_bytes()).await?;
        Ok(reference.to_value())
    }

    /// Opens a sealed value for a person who may see it.
    pub async fn open(&self, value: &Value) -> Result<Value, EngineError> {
        let Some(reference) = rebar_model::SecretRef::from_value(value) else { return Ok(value.clone()) };
        let bytes = self.shared.ports.vault.open(&reference).await?.unwrap_or_default();
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// How far an attempt is, if its agent said so.
    pub fn progress(&self, attempt: AttemptId) -> Option<AttemptProgress> {
        self.shared.progress().get(&attempt).cloned()
    }

    /// What a service waits for before a resource is there.
    pub fn pending(&self, resource: &ResourceId) -> Option<String> {
        self.shared.pending().get(resource).cloned()
    }

    /// What is remembered.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.ports.store
    }

    /// The logs of attempts.
    pub fn logs(&self) -> &Arc<dyn Logs> {
        &self.shared.ports.logs
    }

    /// Ticks when any log grew.
    pub fn log_end(&self) -> watch::Receiver<u64> {
        self.shared.log_ticks.subscribe()
    }

    /// What a service has, for people.
    pub async fn listing(&self, service: ServiceKind) -> Value {
        match self.shared.ports.listings.get(&service) {
            Some(listing) => listing.list().await,
            None => Value::Null,
        }
    }
}
