//! The allocator as its users see it: sticky, without conflicts, clear when there is nothing left.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use proptest::prelude::*;
use rebar_model::{Resource, ResourceKind};
use rebar_ports::{Ledger, Service, memory::Memory};

use super::{
    Ipam,
    allocate::{Allocation, allocate},
    space::Space,
};
use crate::testing::{id, output, resource};

fn wish(owner: &str, pool: &str, exclude: &[&str]) -> Resource {
    let exclude = exclude.iter().map(ToString::to_string).collect();
    resource(owner, ResourceKind::IpamAddress { pool: pool.to_owned(), exclude })
}

#[tokio::test]
async fn addresses_are_sticky_and_come_back_when_released() {
    let ledger = Arc::new(Memory::default());
    let ipam = Ipam::start(ledger.clone()).await.unwrap();
    let pool = "10.9.0.0/29";
    let (a, b) = (wish("a", pool, &["10.9.0.1"]), wish("b", pool, &["10.9.0.1"]));
    let seen = ipam.reconcile(&[a.clone(), b.clone()]).await.unwrap();
    assert_eq!(output(&seen, "a", "address"), "10.9.0.2");
    assert_eq!(output(&seen, "a", "prefix_length"), "29");
    assert_eq!(output(&seen, "b", "address"), "10.9.0.3");

    // A new engine on the same ledger, without the first owner.
    let ipam = Ipam::start(ledger.clone()).await.unwrap();
    let c = wish("c", pool, &["10.9.0.1"]);
    let seen = ipam.reconcile(&[c, b.clone()]).await.unwrap();
    assert_eq!(output(&seen, "b", "address"), "10.9.0.3");
    assert_eq!(output(&seen, "c", "address"), "10.9.0.2");

    // What becomes excluded moves.
    let moved = wish("b", pool, &["10.9.0.0/30"]);
    let seen = ipam.reconcile(&[moved]).await.unwrap();
    assert_eq!(output(&seen, "b", "address"), "10.9.0.4");
    assert_eq!(ledger.claims().await.unwrap().len(), 1);
    let listing = ipam.listing();
    assert_eq!((listing.pools[0].used, listing.pools[0].free), (1, 2));
}

#[tokio::test]
async fn a_full_pool_is_refused_with_counts() {
    let ipam = Ipam::start(Arc::new(Memory::default())).await.unwrap();
    let wishes: Vec<Resource> = ["a", "b", "c"].iter().map(|it| wish(it, "10.9.0.0/30", &[])).collect();
    let seen = ipam.reconcile(&wishes).await.unwrap();
    assert_eq!(seen.ready.len(), 2);
    assert_eq!(seen.refused[&id("c")], "pool 10.9.0.0/30 is full: 2 of 2 addresses are held");
    let seen = ipam.reconcile(&[wish("a", "10.9.0.0", &[]), wish("b", "fd00::/64", &["10.0.0.1"])]).await.unwrap();
    assert!(seen.refused[&id("a")].contains("CIDR"), "{seen:?}");
    assert!(seen.refused[&id("b")].contains("family"), "{seen:?}");
}

#[tokio::test]
async fn overlapping_pools_never_share_an_address() {
    let ipam = Ipam::start(Arc::new(Memory::default())).await.unwrap();
    let wishes = [wish("a", "10.9.0.0/24", &[]), wish("b", "10.9.0.0/16", &[]), wish("c", "fd00::/64", &[])];
    let seen = ipam.reconcile(&wishes).await.unwrap();
    assert_eq!(output(&seen, "a", "address"), "10.9.0.1");
    assert_eq!(output(&seen, "b", "address"), "10.9.0.2");
    assert_eq!(output(&seen, "c", "address"), "fd00::1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_at_once_never_get_the_same() {
    for pool in ["10.9.0.0/25", "fd00::/64"] {
        let ledger = Arc::new(Memory::default());
        let space = Arc::new(Space::parse(pool, &[]).unwrap());
        let tasks = (0..64).map(|n| {
            let (ledger, space) = (ledger.clone(), space.clone());
            tokio::spawn(async move {
                allocate(&*ledger, &space, &format!("owner-{n}"), &mut BTreeSet::new(), None).await.unwrap()
            })
        });
        let mut given = BTreeSet::new();
        for task in tasks.collect::<Vec<_>>() {
            match task.await.unwrap() {
                Allocation::Given(address) => assert!(given.insert(address), "{address} was given twice"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(given.len(), 64);
        assert_eq!(ledger.claims().await.unwrap().len(), 64);
        let highest = given.last().unwrap().to_string();
        assert!(highest == "10.9.0.64" || highest == "fd00::40", "the lowest ones are given: {highest}");
    }
}

proptest! {
    #[test]
    fn what_is_given_is_the_lowest_that_may_be(
        base in any::<u32>(), length in 20_u8..=32,
        taken in prop::collection::btree_set(0_u32..4_096, 0..60),
        excluded in prop::collection::vec((0_u32..4_096, 24_u8..=32), 0..6),
    ) {
        let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        let network = base & mask;
        let at = |offset: u32| std::net::Ipv4Addr::from(network.wrapping_add(offset & !mask));
        let exclude: Vec<String> = excluded.iter().map(|(offset, length)| format!("{}/{length}", at(*offset))).collect();
        let taken: BTreeSet<IpAddr> = taken.iter().map(|offset| at(*offset).into()).collect();
        let space = Space::parse(&format!("{}/{length}", at(0)), &exclude).unwrap();
        // The same, by looking at every address.
        let nets: Vec<ipnet::IpNet> = exclude.iter().map(|it| it.parse().unwrap()).collect();
        let size = 1_u64 << (32 - u32::from(length));
        let hosts = (0..size).filter(|n| size <= 2 || (*n != 0 && *n != size - 1));
        let usable: Vec<IpAddr> = hosts
            .map(|n| at(u32::try_from(n).unwrap()).into())
            .filter(|it: &IpAddr| !nets.iter().any(|net| net.contains(it)))
            .collect();
        prop_assert_eq!(space.size(), usable.len() as u64);
        prop_assert!(usable.iter().all(|it| space.allows(*it)));
        let lowest = usable.iter().find(|it| !taken.contains(it)).copied();
        prop_assert_eq!(space.lowest_free(&taken, None), lowest);
        prop_assert_eq!(lowest.and_then(|it| space.lowest_free(&taken, Some(it))), lowest);
    }
}
