//! The service of `lb.vip` and `lb.backend`: makes listeners and backends equal to what is wished for. A backend that goes is drained;
//! a VIP that goes closes its listener at once and is gone with its last connection.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use rebar_model::{BuiltinAction, ReadyWhen, Resource, ResourceId, Span};
use rebar_ports::{Observed, Service, ServiceError};
use tokio::{
    sync::{Mutex, Notify},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    address,
    backend::Backend,
    health::PACE,
    listing::{Directory, Entry, LbListing},
    vip::{Traffic, Vip, bind},
    wishes::{BackendWish, Wishes},
};
use crate::{checks::Pace, outputs::outputs};

/// What the load balancer is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LbConfig {
    /// Where the address of a VIP is added that this host does not have; none to refuse such a VIP.
    pub interface: Option<String>,
    /// How many connections one VIP may have at once; further ones are refused.
    pub max_connections: usize,
    /// How long one backend may take to accept a connection before the next is tried.
    pub connect_timeout: Span,
}

impl Default for LbConfig {
    fn default() -> Self {
        Self { interface: None, max_connections: 10_000, connect_timeout: Span::from_secs(3) }
    }
}

/// A TCP load balancer.
pub struct LoadBalancer {
    config: LbConfig,
    pace: Pace,
    state: Mutex<State>,
    directory: RwLock<Directory>,
    changed: Arc<Notify>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Default)]
struct State {
    vips: BTreeMap<ResourceId, Vip>,
    draining: Vec<Draining>,
    /// VIPs that no longer listen but may have connections.
    closing: Vec<Closing>,
    /// Addresses that were added to the interface.
    added: BTreeSet<IpAddr>,
}

/// A backend on its way out.
struct Draining {
    endpoint: SocketAddr,
    backend: Arc<Backend>,
    until: Instant,
    gone: Arc<AtomicBool>,
}

/// A VIP on its way out.
struct Closing {
    id: ResourceId,
    endpoint: SocketAddr,
}

impl LoadBalancer {
    /// Starts without any VIP.
    #[expect(clippy::unused_async, reason = "the same shape as the other services")]
    pub async fn start(config: LbConfig) -> Result<Self, ServiceError> {
        Self::with_pace(config, PACE)
    }

    /// Starts with another pace of checks.
    pub(crate) fn with_pace(config: LbConfig, pace: Pace) -> Result<Self, ServiceError> {
        if let Some(interface) = config.interface.as_ref().filter(|it| !address::is_interface(it)) {
            let detail = format!("`{interface}` is not the name of a network interface");
            return Err(ServiceError::Unavailable { service: "load balancer", detail });
        }
        Ok(Self {
            config,
            pace,
            state: Mutex::default(),
            directory: RwLock::default(),
            changed: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Closes all listeners and connections; everything has ended when this returns. Added addresses stay for the next start.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        *self.state.lock().await = State::default();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// What there is at this moment.
    pub fn listing(&self) -> LbListing {
        self.directory.read().unwrap_or_else(PoisonError::into_inner).list()
    }

    /// Closes VIPs that are not wished for as they are.
    async fn close_vips(&self, state: &mut State, wishes: &Wishes) {
        let stays = |id: &ResourceId, vip: &Vip| wishes.vips.get(id).is_some_and(|it| it.endpoint == vip.endpoint);
        let gone: Vec<ResourceId> =
            state.vips.iter().filter(|(id, vip)| !stays(id, vip)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            if let Some(mut vip) = state.vips.remove(&id) {
                vip.close().await;
                for backend in vip.traffic.pool.remove(|_| false) {
                    self.drain(state, vip.endpoint, backend);
                }
                state.closing.push(Closing { id, endpoint: vip.endpoint });
            }
        }
    }

    /// Opens VIPs that do not listen yet, and tells the others how to check.
    async fn open_vips(&self, state: &mut State, wishes: &Wishes, observed: &mut Observed) {
        for (id, wish) in &wishes.vips {
            if let Some(vip) = state.vips.get(id) {
                vip.check.send_if_modified(|check| {
                    let differs = *check != wish.check;
                    check.clone_from(&wish.check);
                    differs
                });
                continue;
            }
            match bind(wish.endpoint, self.config.interface.as_deref()).await {
                Ok(listener) => {
                    if listener.added {
                        state.added.insert(listener.endpoint.ip());
                    }
                    let timeout = self.config.connect_timeout.as_duration();
                    let traffic = Arc::new(Traffic::new(self.config.max_connections, timeout));
                    let check = wish.check.clone();
                    let vip = Vip::start(id.clone(), listener, check, traffic, &self.tasks, &self.stop);
                    state.closing.retain(|it| it.endpoint != vip.endpoint);
                    state.vips.insert(id.clone(), vip);
                }
                Err(reason) => {
                    observed.refused.insert(id.clone(), reason);
                }
            }
        }
    }

    /// Drains backends that are not wished for as they are, and adds new ones.
    fn change_backends(&self, state: &mut State, wishes: &Wishes) {
        let State { vips, draining, .. } = state;
        let mut leaving = Vec::new();
        let mut present: BTreeSet<ResourceId> = BTreeSet::new();
        for vip in vips.values() {
            let stays = |backend: &Backend| match wishes.backends.get(&backend.id) {
                Some(wish) if wish.vip == vip.endpoint && wish.address == backend.address => {
                    backend.set_drain_timeout(wish.drain_timeout);
                    present.insert(backend.id.clone());
                    true
                }
                _ => false,
            };
            leaving.extend(vip.traffic.pool.remove(stays).into_iter().map(|backend| (vip.endpoint, backend)));
        }
        for (id, wish) in wishes.backends.iter().filter(|(id, _)| !present.contains(*id)) {
            if let Some(vip) = vips.values().find(|vip| vip.endpoint == wish.vip) {
                self.add(vip, id, wish);
            }
        }
        draining.retain(|it| !it.gone.load(Ordering::Acquire));
        for (endpoint, backend) in leaving {
            self.drain(state, endpoint, backend);
        }
    }

    fn add(&self, vip: &Vip, id: &ResourceId, wish: &BackendWish) {
        let backend = Arc::new(Backend::new(id.clone(), wish.address, wish.drain_timeout));
        let checks = backend.clone().keep_checking(vip.check.subscribe(), self.pace, self.changed.clone());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = checks => {}
                () = stop.cancelled() => {}
            }
        });
        tracing::info!(backend = %id, address = %wish.address, vip = %vip.endpoint, "backend added");
        vip.traffic.pool.add(backend);
    }

    /// Lets the connections of a backend end; it gets no new ones any more.
    fn drain(&self, state: &mut State, endpoint: SocketAddr, backend: Arc<Backend>) {
        backend.retire();
        if backend.open() == 0 {
            tracing::info!(backend = %backend.id, address = %backend.address, "backend removed");
            return;
        }
        let until = Instant::now() + backend.drain_timeout().as_duration();
        let gone = Arc::new(AtomicBool::new(false));
        let (stop, changed) = (self.stop.clone(), self.changed.clone());
        let (leaving, ended) = (backend.clone(), gone.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = leaving.drain(until) => {}
                () = stop.cancelled() => {}
            }
            tracing::info!(backend = %leaving.id, address = %leaving.address, "backend drained and removed");
            ended.store(true, Ordering::Release);
            changed.notify_one();
        });
        state.draining.push(Draining { endpoint, backend, until, gone });
    }

    /// Forgets VIPs whose last connection has ended, and takes their addresses away.
    async fn forget_vips(&self, state: &mut State) {
        let State { vips, draining, closing, added } = state;
        let busy: BTreeSet<SocketAddr> = draining.iter().map(|it| it.endpoint).collect();
        let (stay, gone): (Vec<_>, Vec<_>) = closing.drain(..).partition(|it| busy.contains(&it.endpoint));
        *closing = stay;
        let Some(interface) = &self.config.interface else {
            return;
        };
        for address in gone.iter().map(|it| it.endpoint.ip()).collect::<BTreeSet<_>>() {
            let others = vips.values().map(|vip| vip.endpoint).chain(closing.iter().map(|it| it.endpoint));
            if others.into_iter().any(|it| it.ip() == address) {
                continue;
            }
            match address::remove(address, interface, added.remove(&address)).await {
                Ok(()) => tracing::debug!(%address, interface, "address is not on the interface"),
                Err(error) => tracing::warn!(%address, interface, error, "address could not be taken away"),
            }
        }
    }

    fn publish(&self, state: &State) {
        let entry = |vip: &Vip| Entry {
            id: vip.id.clone(),
            endpoint: vip.endpoint,
            check: vip.check.borrow().clone(),
            traffic: vip.traffic.clone(),
            draining: state
                .draining
                .iter()
                .filter(|it| it.endpoint == vip.endpoint)
                .map(|it| it.backend.clone())
                .collect(),
        };
        let vips = state.vips.values().map(entry).collect();
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = Directory { vips };
    }
}

impl Drop for LoadBalancer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl Service for LoadBalancer {
    fn actions(&self) -> &'static [BuiltinAction] {
        &[BuiltinAction::LbVip, BuiltinAction::LbBackend]
    }

    async fn reconcile(&self, desired: &[Resource]) -> Result<Observed, ServiceError> {
        let mut state = self.state.lock().await;
        if self.stop.is_cancelled() {
            let detail = "it is shutting down".to_owned();
            return Err(ServiceError::Unavailable { service: "load balancer", detail });
        }
        let holders = state.vips.values().map(|vip| (vip.endpoint, vip.id.clone())).collect();
        let mut wishes = Wishes::read(desired, &holders);
        let mut observed = Observed { refused: std::mem::take(&mut wishes.refused), ..Observed::default() };
        self.close_vips(&mut state, &wishes).await;
        self.open_vips(&mut state, &wishes, &mut observed).await;
        self.change_backends(&mut state, &wishes);
        self.forget_vips(&mut state).await;
        self.publish(&state);
        observe(&state, &wishes, &mut observed);
        Ok(observed)
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}

fn observe(state: &State, wishes: &Wishes, observed: &mut Observed) {
    for (id, vip) in &state.vips {
        let (address, port) = (vip.endpoint.ip().to_string(), vip.endpoint.port());
        let values =
            [("endpoint", vip.endpoint.to_string().into()), ("address", address.into()), ("port", port.into())];
        observed.ready.insert(id.clone(), outputs(values));
        for backend in vip.traffic.pool.all() {
            let health = backend.health();
            let wanted = wishes.backends.get(&backend.id).map(|it| it.ready_when);
            if health.proven || (health.checked && wanted == Some(ReadyWhen::Checked)) {
                let values = outputs([("endpoint", backend.address.to_string().into())]);
                observed.ready.insert(backend.id.clone(), values);
            } else {
                let error = health.error.as_deref().unwrap_or("its first health check runs");
                observed.pending.insert(backend.id.clone(), format!("{}: {error}", backend.address));
            }
        }
    }
    for (id, wish) in &wishes.backends {
        if !observed.ready.contains_key(id) && !observed.pending.contains_key(id) {
            observed.pending.insert(id.clone(), format!("no vip listens on {}", wish.vip));
        }
    }
    let now = Instant::now();
    let leaving = state.draining.iter().map(|it| {
        let left = it.until.saturating_duration_since(now).as_secs();
        (&it.backend.id, format!("draining: {} open connections, at most {left} s", it.backend.open()))
    });
    let closing = state.closing.iter().map(|it| (&it.id, "its last connections are draining".to_owned()));
    for (id, reason) in leaving.chain(closing) {
        if !observed.ready.contains_key(id) && !observed.refused.contains_key(id) {
            observed.pending.entry(id.clone()).or_insert(reason);
        }
    }
}
