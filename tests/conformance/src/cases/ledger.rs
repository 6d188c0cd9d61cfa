//! Claimed addresses: nobody shares one, however many want it at once.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Result, ensure};
use rebar_ports::{Claim, Ledger};

use crate::suite::Subject;

const CLAIMANTS: usize = 16;
const ADDRESSES: usize = 50;

fn claim(pool: &str, address: &str, owner: &str) -> Result<Claim> {
    Ok(Claim { pool: pool.parse()?, address: address.parse()?, owner: owner.to_owned() })
}

fn addresses(prefix: &str) -> Result<Vec<IpAddr>> {
    (1..=ADDRESSES).map(|place| Ok(format!("{prefix}{place}").parse()?)).collect()
}

pub(crate) async fn an_address_has_one_owner(subject: Subject) -> Result<()> {
    let engines = subject.open_several(4).await?;
    for (pool, prefix) in [("10.1.0.0/24", "10.1.0."), ("fd00:1::/64", "fd00:1::")] {
        let addresses = addresses(prefix)?;
        let mut claimants = Vec::new();
        for place in 0..CLAIMANTS {
            let ledger = engines[place % engines.len()].ledger.clone();
            let mut mine = addresses.clone();
            mine.rotate_left(place);
            let owner = format!("owner-{place}");
            let pool = pool.parse()?;
            claimants.push(tokio::spawn(async move {
                let mut held = Vec::new();
                for address in mine {
                    let wanted = Claim { pool, address, owner: owner.clone() };
                    if ledger.claim(&wanted).await? {
                        held.push(wanted);
                    }
                }
                anyhow::Ok(held)
            }));
        }
        let mut owners: BTreeMap<IpAddr, String> = BTreeMap::new();
        for claimant in claimants {
            for Claim { address, owner, .. } in claimant.await?? {
                let other = owners.insert(address, owner.clone());
                ensure!(other.is_none(), "{address} belongs to {owner} and to {other:?}");
            }
        }
        ensure!(owners.keys().copied().collect::<Vec<_>>() == addresses, "an address was lost");
        for held in engines[0].ledger.claims().await?.iter().filter(|it| it.pool.to_string() == pool) {
            ensure!(owners.get(&held.address) == Some(&held.owner), "{} is held by {}", held.address, held.owner);
        }
    }
    Ok(())
}

pub(crate) async fn listed_and_released(subject: Subject) -> Result<()> {
    let ports = subject.open().await?;
    let ledger: &dyn Ledger = &*ports.ledger;
    let claims = [
        claim("10.0.0.0/24", "10.0.0.9", "a")?,
        claim("10.0.0.0/24", "10.0.0.10", "b")?,
        claim("fd00::/64", "fd00::9", "a")?,
        claim("fd00::/64", "fd00::10", "b")?,
    ];
    for claim in claims.iter().rev() {
        ensure!(ledger.claim(claim).await?);
    }
    ensure!(ledger.claim(&claims[0]).await?, "who holds it may claim it again");
    let mut contested = claims[0].clone();
    "b".clone_into(&mut contested.owner);
    ensure!(!ledger.claim(&contested).await?);
    ensure!(ledger.claim(&claim("10.0.0.0/16", "10.0.0.9", "b")?).await?, "another pool is another address");
    ensure!(ledger.claims().await?.len() == 5);
    ledger.release("b").await?;
    ensure!(ledger.claims().await? == [claims[0].clone(), claims[2].clone()]);
    ledger.release("a").await?;
    ledger.release("nobody").await?;
    ensure!(ledger.claim(&contested).await?, "what was released is free");
    Ok(())
}
