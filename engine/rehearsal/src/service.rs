//! The simulated services: each resource is there after its time, with the outputs that its kind has. Addresses are really taken out
//! of their pool, so that one which is too small is found here.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use ipnet::IpNet;
use jiff::Timestamp;
use rebar_model::{BuiltinAction, Ident, Resource, ResourceId, ResourceKind};
use rebar_ports::{Clock, Observed, Service, ServiceError};
use serde_json::{Value, json};

use crate::{
    End, Scenario,
    clock::SimulatedClock,
    duration::{scaled, ticks},
    tally::Tally,
};

/// What each service makes, as the embedded ones part it among themselves.
const KINDS: [&[BuiltinAction]; 5] = [
    &[BuiltinAction::IpamAddress],
    &[BuiltinAction::DnsRecord],
    &[BuiltinAction::LbVip, BuiltinAction::LbBackend],
    &[BuiltinAction::PkiCa, BuiltinAction::PkiCert],
    &[BuiltinAction::WaitHttp, BuiltinAction::WaitTcp],
];

/// A service that takes the time that it is said to take, and reaches nothing.
pub(crate) struct SimulatedService {
    actions: &'static [BuiltinAction],
    scenario: Arc<Scenario>,
    clock: Arc<SimulatedClock>,
    tally: Arc<Tally>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: BTreeMap<ResourceId, Known>,
    /// How many times each was wished for anew.
    numbers: BTreeMap<ResourceId, u32>,
    addresses: BTreeMap<ResourceId, (IpNet, IpAddr)>,
    taken: BTreeSet<IpAddr>,
}

/// A resource that is wished for.
struct Known {
    kind: ResourceKind,
    ready_at: Timestamp,
    /// It never gets there, or is refused.
    end: Option<End>,
}

impl SimulatedService {
    /// All services.
    pub fn all(scenario: &Arc<Scenario>, clock: &Arc<SimulatedClock>, tally: &Arc<Tally>) -> Vec<Arc<dyn Service>> {
        let make = |actions| {
            let (scenario, clock, tally) = (scenario.clone(), clock.clone(), tally.clone());
            Arc::new(Self { actions, scenario, clock, tally, state: Mutex::default() }) as Arc<dyn Service>
        };
        KINDS.into_iter().map(make).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what is wished for anew or otherwise.
    fn take_in(&self, state: &mut State, resource: &Resource, id: &ResourceId, now: Timestamp) {
        if state.known.get(id).is_some_and(|it| it.kind == resource.kind) {
            return;
        }
        let number = state.numbers.entry(id.clone()).or_default();
        *number += 1;
        let estimate = self.scenario.estimate(&id.0.role);
        let drawn = estimate.draw(self.scenario.chance(), &[id, number]);
        let doom = self.scenario.doom(&id.0, *number);
        if let Some((fault, _)) = doom {
            self.tally.attempt(fault, &id.0);
        }
        let (takes, end) = match doom.map(|it| it.1) {
            // A service tries again by itself; that takes longer, and ends well.
            Some(End::Tempfail) => (scaled(drawn, 5.0), None),
            end => (drawn, end),
        };
        let known = Known { kind: resource.kind.clone(), ready_at: ticks(takes).after(now), end };
        state.known.insert(id.clone(), known);
    }
}

#[async_trait]
impl Service for SimulatedService {
    fn actions(&self) -> &'static [BuiltinAction] {
        self.actions
    }

    async fn reconcile(&self, desired: &[Resource]) -> Result<Observed, ServiceError> {
        let now = self.clock.now();
        let mut state = self.lock();
        let wished: BTreeSet<ResourceId> = desired.iter().map(Resource::id).collect();
        state.known.retain(|id, _| wished.contains(id));
        let State { addresses, taken, .. } = &mut *state;
        addresses.retain(|id, (_, address)| wished.contains(id) || !taken.remove(address));
        let mut observed = Observed::default();
        for (id, resource) in wished.into_iter().zip(in_order(desired)) {
            self.take_in(&mut state, resource, &id, now);
            let Some(known) = state.known.get(&id) else { continue };
            match known.end {
                _ if known.ready_at > now => drop(observed.pending.insert(id, "it is being made".to_owned())),
                Some(End::Hang) => drop(observed.pending.insert(id, "a rehearsed fault: it hangs".to_owned())),
                Some(_) => drop(observed.refused.insert(id, "a rehearsed fault: the service refuses it".to_owned())),
                None => match outputs(&mut state, &id, &resource.kind, &self.scenario) {
                    Ok(outputs) => drop(observed.ready.insert(id, outputs)),
                    Err(why) => drop(observed.refused.insert(id, why)),
                },
            }
        }
        Ok(observed)
    }

    async fn changed(&self) {
        let now = self.clock.now();
        let next = self.lock().known.values().map(|it| it.ready_at).filter(|it| *it > now).min();
        match next {
            Some(at) => self.clock.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

/// Resources in the order of their identities.
fn in_order(desired: &[Resource]) -> Vec<&Resource> {
    let mut resources: Vec<&Resource> = desired.iter().collect();
    resources.sort_by(|left, right| left.owner.cmp(&right.owner));
    resources
}

/// What the service of a kind gives.
fn outputs(
    state: &mut State,
    id: &ResourceId,
    kind: &ResourceKind,
    scenario: &Scenario,
) -> Result<BTreeMap<Ident, Value>, String> {
    let endpoint = |address: &IpAddr, port: u16| std::net::SocketAddr::new(*address, port).to_string();
    let draws = scenario.chance().bytes("resource", &[id]);
    let outputs = match kind {
        ResourceKind::DnsRecord { name, .. } => vec![("fqdn", json!(name))],
        ResourceKind::IpamAddress { pool, exclude } => {
            let (pool, address) = address(state, id, pool, exclude)?;
            vec![("address", json!(address)), ("prefix_length", json!(pool.prefix_len()))]
        }
        ResourceKind::LbVip { address, port, .. } => {
            vec![("endpoint", json!(endpoint(address, *port))), ("address", json!(address)), ("port", json!(port))]
        }
        ResourceKind::LbBackend { address, port, .. } | ResourceKind::WaitTcp { address, port } => {
            vec![("endpoint", json!(endpoint(address, *port)))]
        }
        ResourceKind::PkiCa { .. } => vec![("ca_pem", json!(pem(&draws)))],
        ResourceKind::PkiCert { .. } => {
            vec![("cert_pem", json!(pem(&draws))), ("serial", json!(hex::encode(&draws[..8])))]
        }
        ResourceKind::WaitHttp { url, .. } => vec![("url", json!(url))],
    };
    let named = |(name, value): (&str, Value)| Ok((name.parse().map_err(|error| format!("{error}"))?, value));
    outputs.into_iter().map(named).collect()
}

/// The address that a resource holds, or the lowest one that nobody does.
fn address(state: &mut State, id: &ResourceId, pool: &str, exclude: &[String]) -> Result<(IpNet, IpAddr), String> {
    let pool: IpNet = pool.parse().map_err(|_| format!("pool `{pool}` is not a network in CIDR notation"))?;
    if let Some((held_in, address)) = state.addresses.get(id)
        && *held_in == pool
    {
        return Ok((pool, *address));
    }
    let network = |it: &String| it.parse().ok().or_else(|| it.parse::<IpAddr>().ok().map(IpNet::from));
    let left_out: Vec<IpNet> = exclude.iter().filter_map(network).collect();
    let taken = &state.taken;
    let free = pool.hosts().find(|it| !taken.contains(it) && !left_out.iter().any(|out| out.contains(it)));
    let address = free.ok_or_else(|| format!("pool {pool} is full: {} addresses are held", taken.len()))?;
    state.taken.insert(address);
    state.addresses.insert(id.clone(), (pool, address));
    Ok((pool, address))
}

/// Something that looks like a certificate and is none.
fn pem(draws: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", hex::encode(draws))
}
