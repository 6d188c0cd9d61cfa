//! Claimed addresses.

use async_trait::async_trait;
use rebar_ports::{Claim, Ledger, StoreError};

use crate::{SqlStore, database::Row, json::corrupt};

/// One statement, so that of many who want an address one gets it and all learn who. The update changes nothing; without it
/// nothing would be returned for an address that is held.
const CLAIM: &str = "INSERT INTO claim (pool, address, owner) VALUES ($1, $2, $3) \
    ON CONFLICT (pool, address) DO UPDATE SET owner = claim.owner RETURNING owner";
const RELEASE: &str = "DELETE FROM claim WHERE owner = $1";
const ALL: &str = "SELECT pool, address, owner FROM claim";

#[async_trait]
impl Ledger for SqlStore {
    async fn claim(&self, claim: &Claim) -> Result<bool, StoreError> {
        let values = vec![claim.pool.to_string().into(), claim.address.to_string().into(), claim.owner.as_str().into()];
        let rows = self.database.write(CLAIM, values).await?;
        let holder = rows.first().ok_or_else(|| corrupt("claim", &"it has no holder"))?;
        Ok(holder.text(0)? == claim.owner)
    }

    async fn release(&self, owner: &str) -> Result<(), StoreError> {
        self.database.write(RELEASE, vec![owner.into()]).await?;
        Ok(())
    }

    async fn claims(&self) -> Result<Vec<Claim>, StoreError> {
        let rows = self.database.read(ALL, Vec::new()).await?;
        let mut claims = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        // Here and not in SQL: as texts, 10.0.0.10 comes before 10.0.0.9.
        claims.sort();
        Ok(claims)
    }
}

fn read(row: &Row) -> Result<Claim, StoreError> {
    Ok(Claim {
        pool: row.text(0)?.parse().map_err(|error| corrupt("claim", &error))?,
        address: row.text(1)?.parse().map_err(|error| corrupt("claim", &error))?,
        owner: row.text(2)?.to_owned(),
    })
}
