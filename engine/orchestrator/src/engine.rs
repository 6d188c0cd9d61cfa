//! Starts and stops the engine: takes the lease, loads the World, and joins the tasks around it.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use rebar_model::{Actor, Change, Epoch, ProviderKind, Record, ReleaseKey};
use rebar_ports::{Blobs, Clock, Entropy, Logs, Provider, Service, Store, Vault};
use rebar_scheduler::Effect;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Handle, LEASE_TTL, MAX_INBOX, ServiceKind, StartError,
    limits::{ENDING, MAX_LOG_QUEUE, MAX_OUTBOX},
    log_writer::{self, LogPiece},
    outbox,
    owner::Owner,
    reconciler,
    shared::{Intake, Shared, SharedRef},
};

/// Everything that the engine meets of the outside.
#[derive(Clone)]
pub struct Ports {
    /// What is remembered.
    pub store: Arc<dyn Store>,
    /// The logs of attempts.
    pub logs: Arc<dyn Logs>,
    /// The content of roles.
    pub blobs: Arc<dyn Blobs>,
    /// Secrets.
    pub vault: Arc<dyn Vault>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// DNS, addresses, load balancer, PKI.
    pub services: Vec<Arc<dyn Service>>,
    /// What people are shown of them.
    pub listings: BTreeMap<ServiceKind, Arc<dyn Listing>>,
    /// What makes machines.
    pub providers: BTreeMap<ProviderKind, Arc<dyn Provider>>,
    /// Where agents find the gateway, as `host:port` seen from the machines.
    pub advertise: String,
    /// SHA-256 of the engine's CA certificate, in hexadecimal.
    pub ca_fingerprint: String,
    /// The keys whose releases of the agent are taken in, and that new agents are given.
    pub release_keys: Vec<ReleaseKey>,
    /// Who this engine is, among those on one database.
    pub holder: String,
}

/// What a service shows to people.
#[async_trait]
pub trait Listing: Send + Sync + 'static {
    /// Everything that it has, as JSON.
    async fn list(&self) -> serde_json::Value;
}

/// An engine that is put together, and whose tasks do not run yet.
pub(crate) struct Parts {
    pub shared: SharedRef,
    pub owner: Owner,
    pub effects: mpsc::Receiver<Effect>,
    pub pieces: mpsc::Receiver<LogPiece>,
}

impl Parts {
    /// Takes the lease and loads the World.
    pub async fn make(ports: Ports) -> Result<Self, StartError> {
        let now = ports.clock.now();
        let epoch = ports.store.lead(&ports.holder, now, LEASE_TTL).await?.ok_or(StartError::NotLeading)?;
        let mut world = ports.store.load().await?;
        let began =
            Record { seq: world.applied().next(), at: now, by: Actor::engine(), change: Change::EpochBegan { epoch } };
        ports.store.commit(epoch, std::slice::from_ref(&began)).await?;
        world.apply_record(&began).map_err(|it| {
            StartError::Store(rebar_ports::StoreError::Corrupt { what: "world", detail: it.to_string() })
        })?;
        let (inbox, messages) = mpsc::channel(MAX_INBOX);
        let (logs, pieces) = mpsc::channel(MAX_LOG_QUEUE);
        let (outbox, effects) = mpsc::channel(MAX_OUTBOX);
        let shared: SharedRef = Arc::new(Shared::new(ports, world.clone(), Some(Intake { inbox, logs })));
        let owner = Owner { shared: shared.clone(), inbox: messages, outbox, world, epoch };
        Ok(Self { shared, owner, effects, pieces })
    }
}

/// A running engine.
pub struct Engine {
    handle: Handle,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Engine {
    /// Takes the lease, loads the World and starts. Cancelling `stop` ends it, as does the loss of the lease.
    pub async fn start(ports: Ports, stop: CancellationToken) -> Result<Self, StartError> {
        let Parts { shared, owner, effects, pieces } = Parts::make(ports).await?;
        let epoch = owner.epoch;
        let mut tasks = JoinSet::new();
        for place in 0..shared.ports.services.len() {
            tasks.spawn(reconciler::run(shared.clone(), place, stop.clone()));
        }
        tasks.spawn(outbox::run(shared.clone(), effects, stop.clone()));
        tasks.spawn(log_writer::run(shared.clone(), pieces, stop.clone()));
        tasks.spawn(keep_lease(shared.clone(), epoch, stop.clone()));
        tasks.spawn(owner.run(stop.clone()));
        tracing::info!(%epoch, "engine leads");
        Ok(Self { handle: Handle { shared }, tasks, stop })
    }

    /// The way to talk to it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Resolves when the engine has ended. To be awaited for as long as it runs.
    pub async fn join(mut self) {
        self.tasks.join_next().await;
        // One task that ends takes the others with it: an engine is whole or not at all.
        self.stop.cancel();
        let Ports { store, clock, holder, .. } = &self.handle.shared.ports;
        let patience = clock.sleep_until(ENDING.after(clock.now()));
        let ending = async {
            while self.tasks.join_next().await.is_some() {}
            if let Err(error) = store.resign(holder).await {
                tracing::warn!(%error, "lease could not be given up");
            }
        };
        tokio::select! {
            biased;
            () = ending => {}
            () = patience => tracing::warn!("the database does not answer; what waits for it is given up"),
        }
        self.tasks.shutdown().await;
    }
}

/// Renews the lease; without it the engine stops, because another may lead.
async fn keep_lease(shared: SharedRef, epoch: Epoch, stop: CancellationToken) {
    let third = rebar_model::Span::from_millis(LEASE_TTL.as_millis() / 3);
    let mut held_until = LEASE_TTL.after(shared.ports.clock.now());
    loop {
        let now = shared.ports.clock.now();
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = shared.ports.clock.sleep_until(third.after(now)) => {}
        }
        let now = shared.ports.clock.now();
        // One that was frozen for longer than its lease may still find that nobody else took it.
        let patience = held_until.max(third.after(now));
        let renewed = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = shared.ports.clock.sleep_until(patience) => {
                tracing::error!("lease ran out, and the database does not answer; stopping");
                return;
            }
            renewed = shared.ports.store.lead(&shared.ports.holder, now, LEASE_TTL) => renewed,
        };
        match renewed {
            Ok(Some(it)) if it == epoch => held_until = LEASE_TTL.after(now),
            Ok(other) => {
                tracing::error!(ours = %epoch, now = ?other, "lease lost; stopping");
                return;
            }
            Err(error) if now < held_until => tracing::warn!(%error, "lease could not be renewed"),
            Err(error) => {
                tracing::error!(%error, "lease ran out; stopping");
                return;
            }
        }
    }
}
