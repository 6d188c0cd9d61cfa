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
