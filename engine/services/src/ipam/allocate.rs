//! Claiming the lowest free address of a space for an owner. The ledger decides who wins; whoever loses a race tries the next.

use std::{collections::BTreeSet, net::IpAddr};

use rebar_ports::{Claim, Ledger, StoreError};

use super::space::Space;

/// How many races one owner may lose before it is told to come again.
const MAX_LOST_RACES: u32 = 1_024;

/// What came of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allocation {
    /// The owner holds this address now.
    Given(IpAddr),
    /// Every address is taken or excluded.
    Full,
    /// Others were faster every time.
    Contended,
}

/// Claims the lowest address of a space from `from` on that is not in `taken`; what turns out to be taken is added to it.
pub(crate) async fn allocate(
    ledger: &dyn Ledger,
    space: &Space,
    owner: &str,
    taken: &mut BTreeSet<IpAddr>,
    from: Option<IpAddr>,
) -> Result<Allocation, StoreError> {
    for _ in 0..MAX_LOST_RACES {
        let Some(address) = space.lowest_free(taken, from) else {
            return Ok(Allocation::Full);
        };
        let claim = Claim { pool: space.pool(), address, owner: owner.to_owned() };
        taken.insert(address);
        if ledger.claim(&claim).await? {
            return Ok(Allocation::Given(address));
        }
        // Whoever was faster may have taken more than this one.
        taken.extend(ledger.claims().await?.into_iter().map(|it| it.address));
    }
    Ok(Allocation::Contended)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use async_trait::async_trait;
    use rebar_model::ResourceKind;
    use rebar_ports::Service;

    use super::*;
    use crate::{
        ipam::Ipam,
        testing::{id, output, resource},
    };

    /// A ledger in which somebody else is faster so many times.
    struct Rival(AtomicU32);

    #[async_trait]
    impl Ledger for Rival {
        async fn claim(&self, _: &Claim) -> Result<bool, StoreError> {
            let races = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            Ok(races.is_err())
        }

        async fn release(&self, _: &str) -> Result<(), StoreError> {
            Ok(())
        }

        async fn claims(&self) -> Result<Vec<Claim>, StoreError> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn so_many_races_are_lost_before_the_owner_comes_again() {
        let pool = "10.0.0.0/16";
        let space = Space::parse(pool, &[]).unwrap();
        let after = async |lost: u32| {
            let ledger = Rival(AtomicU32::new(lost));
            allocate(&ledger, &space, "owner", &mut BTreeSet::new(), None).await.unwrap()
        };
        // The address of the last race, since the first is 10.0.0.1.
        let last = std::net::Ipv4Addr::from_bits(0x0a00_0000 + MAX_LOST_RACES);
        assert_eq!(after(MAX_LOST_RACES - 1).await, Allocation::Given(last.into()));
        assert_eq!(after(MAX_LOST_RACES).await, Allocation::Contended);

        let ipam = Ipam::start(Arc::new(Rival(AtomicU32::new(MAX_LOST_RACES)))).await.unwrap();
        let wish = [resource("a", ResourceKind::IpamAddress { pool: pool.to_owned(), exclude: Vec::new() })];
        let seen = ipam.reconcile(&wish).await.unwrap();
        assert!(seen.refused.is_empty() && seen.pending[&id("a")].contains("at this moment"), "{seen:?}");
        assert_eq!(output(&ipam.reconcile(&wish).await.unwrap(), "a", "address"), "10.0.0.1");
    }
}
