//! The service of `ipam.address`: every owner keeps its address as long as its pool allows it, new owners get the lowest free one, and
//! what is no longer wished for is released first.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex as StdMutex, PoisonError},
};

use async_trait::async_trait;
use ipnet::IpNet;
use rebar_model::{BuiltinAction, Resource, ResourceId, ResourceKind};
use rebar_ports::{Claim, Ledger, Observed, Service, ServiceError};
use serde::Serialize;
use tokio::sync::Mutex;

use super::{
    allocate::{Allocation, allocate},
    space::Space,
};
use crate::outputs::outputs;

/// Addresses out of pools.
pub struct Ipam {
    ledger: Arc<dyn Ledger>,
    /// One reconcile at a time: an address is unique over overlapping pools too, which the ledger alone does not see to.
    turn: Mutex<()>,
    listing: StdMutex<IpamListing>,
}

/// All pools that are used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IpamListing {
    /// The pools.
    pub pools: Vec<PoolListing>,
}

/// One pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolListing {
    /// The pool in CIDR notation.
    pub pool: IpNet,
    /// How many addresses are held.
    pub used: u64,
    /// How many are left, without excludes; at most the largest number there is.
    pub free: u64,
    /// Who holds which.
    pub claims: Vec<ClaimListing>,
}

/// One address that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClaimListing {
    /// The address.
    pub address: IpAddr,
    /// The resource.
    pub owner: String,
}

/// A wish that was understood.
struct Wish {
    id: ResourceId,
    owner: String,
    space: Space,
    exclude: Vec<String>,
}

impl Ipam {
    /// Opens the ledger.
    pub async fn start(ledger: Arc<dyn Ledger>) -> Result<Self, ServiceError> {
        let claims = ledger.claims().await?;
        Ok(Self { ledger, turn: Mutex::new(()), listing: StdMutex::new(listing(&claims)) })
    }

    /// Nothing runs between reconciles; here for symmetry with the other services.
    #[expect(clippy::unused_async, reason = "the same shape as the other services")]
    pub async fn shutdown(&self) {}

    /// What there is.
    pub fn listing(&self) -> IpamListing {
        self.listing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Releases what nobody wishes for or what its pool no longer allows; returns who holds what after that.
    async fn release(&self, desired: &[Resource], wishes: &[Wish]) -> Result<Vec<Claim>, ServiceError> {
        // Whoever is still wished for, but with a pool that cannot be read, keeps what it has until that is mended.
        let owners: BTreeSet<String> = desired.iter().map(|it| it.id().to_string()).collect();
        let by_owner: BTreeMap<&str, &Wish> = wishes.iter().map(|wish| (wish.owner.as_str(), wish)).collect();
        let mut released = BTreeSet::new();
        let claims = self.ledger.claims().await?;
        for claim in &claims {
            let stays = match by_owner.get(claim.owner.as_str()) {
                Some(wish) => claim.pool == wish.space.pool() && wish.space.allows(claim.address),
                None => owners.contains(&claim.owner),
            };
            if !stays && released.insert(claim.owner.clone()) {
                self.ledger.release(&claim.owner).await?;
                tracing::info!(owner = claim.owner, address = %claim.address, "address released");
            }
        }
        Ok(claims.into_iter().filter(|claim| !released.contains(&claim.owner)).collect())
    }

    /// Gives addresses to those who hold none.
    async fn give(&self, newcomers: Vec<Wish>, claims: &[Claim], observed: &mut Observed) -> Result<(), ServiceError> {
        let mut taken: BTreeSet<IpAddr> = claims.iter().map(|claim| claim.address).collect();
        // Nothing is released while addresses are given, so the next search starts where the last one of its pool ended.
        let mut reached: BTreeMap<(IpNet, Vec<String>), IpAddr> = BTreeMap::new();
        for wish in newcomers {
            let key = (wish.space.pool(), wish.exclude.clone());
            let from = reached.get(&key).copied();
            match allocate(&*self.ledger, &wish.space, &wish.owner, &mut taken, from).await? {
                Allocation::Given(address) => {
                    tracing::info!(owner = wish.owner, %address, "address given");
                    reached.insert(key, address);
                    observed.ready.insert(wish.id, answer(&wish.space, address));
                }
                Allocation::Full => {
                    let held = taken.iter().filter(|it| wish.space.allows(**it)).count();
                    let (pool, size) = (wish.space.pool(), wish.space.size());
                    let reason = format!("pool {pool} is full: {held} of {size} addresses are held");
                    observed.refused.insert(wish.id, reason);
                }
                Allocation::Contended => {
                    observed.pending.insert(wish.id, "others are taking addresses of the pool at this moment".into());
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Service for Ipam {
    fn actions(&self) -> &'static [BuiltinAction] {
        &[BuiltinAction::IpamAddress]
    }

    async fn reconcile(&self, desired: &[Resource]) -> Result<Observed, ServiceError> {
        let _turn = self.turn.lock().await;
        let mut observed = Observed::default();
        let wishes = wishes(desired, &mut observed);
        let claims = self.release(desired, &wishes).await?;
        let held: BTreeMap<String, IpAddr> = claims.iter().map(|claim| (claim.owner.clone(), claim.address)).collect();
        let mut newcomers = Vec::new();
        for wish in wishes {
            match held.get(&wish.owner) {
                Some(address) => {
                    observed.ready.insert(wish.id, answer(&wish.space, *address));
                }
                None => newcomers.push(wish),
            }
        }
        self.give(newcomers, &claims, &mut observed).await?;
        let mut listing = listing(&self.ledger.claims().await?);
        listing.account_for(desired);
        *self.listing.lock().unwrap_or_else(PoisonError::into_inner) = listing;
        Ok(observed)
    }

    async fn changed(&self) {
        std::future::pending::<()>().await;
    }
}

impl IpamListing {
    /// Counts the excludes of the resources, which the ledger does not know, and adds pools of which nothing is held.
    fn account_for(&mut self, desired: &[Resource]) {
        let mut excludes: BTreeMap<IpNet, Vec<String>> = BTreeMap::new();
        for resource in desired {
            if let ResourceKind::IpamAddress { pool, exclude } = &resource.kind
                && let Ok(space) = Space::parse(pool, exclude)
            {
                excludes.entry(space.pool()).or_default().extend(exclude.iter().cloned());
            }
        }
        for (pool, mut exclude) in excludes {
            exclude.sort_unstable();
            exclude.dedup();
            let Ok(space) = Space::parse(&pool.to_string(), &exclude) else {
                continue;
            };
            let at = self.pools.binary_search_by(|it| it.pool.cmp(&pool)).unwrap_or_else(|at| {
                self.pools.insert(at, PoolListing { pool, used: 0, free: 0, claims: Vec::new() });
                at
            });
            self.pools[at].free = space.size().saturating_sub(self.pools[at].used);
        }
    }
}

/// The wishes that can be understood, ordered by owner so that equal wishes get equal answers; the others are refused.
fn wishes(desired: &[Resource], observed: &mut Observed) -> Vec<Wish> {
    let mut wishes = Vec::with_capacity(desired.len());
    for resource in desired {
        let ResourceKind::IpamAddress { pool, exclude } = &resource.kind else {
            continue;
        };
        let id = resource.id();
        match Space::parse(pool, exclude) {
            Ok(space) => wishes.push(Wish { owner: id.to_string(), id, space, exclude: exclude.clone() }),
            Err(error) => {
                observed.refused.insert(id, error.to_string());
            }
        }
    }
    wishes.sort_by(|a, b| a.id.cmp(&b.id));
    wishes
}

fn answer(space: &Space, address: IpAddr) -> BTreeMap<rebar_model::Ident, serde_json::Value> {
    outputs([("address", address.to_string().into()), ("prefix_length", space.pool().prefix_len().into())])
}

/// The claims by pool. Without the resources nothing is known of excludes.
fn listing(claims: &[Claim]) -> IpamListing {
    let mut pools: BTreeMap<IpNet, Vec<ClaimListing>> = BTreeMap::new();
    for claim in claims {
        let entry = ClaimListing { address: claim.address, owner: claim.owner.clone() };
        pools.entry(claim.pool).or_default().push(entry);
    }
    let pools = pools.into_iter().map(|(pool, claims)| {
        let used = claims.len() as u64;
        let size = Space::parse(&pool.to_string(), &[]).map_or(0, |space| space.size());
        PoolListing { pool, used, free: size.saturating_sub(used), claims }
    });
    IpamListing { pools: pools.collect() }
}
