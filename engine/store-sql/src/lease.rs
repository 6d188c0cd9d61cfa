//! Who leads. Taking and renewing are one statement each, so that of two engines that try at once one wins.

use jiff::Timestamp;
use rebar_model::{Epoch, Span};
use rebar_ports::StoreError;

use crate::database::Database;

/// A holder that nobody took the lease from keeps its epoch; any other that gets it, gets a higher one.
const TAKE: &str = "UPDATE lease \
    SET epoch = CASE WHEN holder = $1 THEN epoch ELSE epoch + 1 END, holder = $1, until = $3 \
    WHERE shard = 0 AND (holder IS NULL OR holder = $1 OR until <= $2) RETURNING epoch";

const RESIGN: &str = "UPDATE lease SET holder = NULL, until = 0 WHERE shard = 0 AND holder = $1";

pub(crate) async fn lead(
    database: &Database,
    holder: &str,
    now: Timestamp,
    ttl: Span,
) -> Result<Option<Epoch>, StoreError> {
    let until = ttl.after(now).as_microsecond();
    let rows = database.write(TAKE, vec![holder.into(), now.as_microsecond().into(), until.into()]).await?;
    rows.first().map(|row| row.number(0).map(Epoch)).transpose()
}

pub(crate) async fn resign(database: &Database, holder: &str) -> Result<(), StoreError> {
    database.write(RESIGN, vec![holder.into()]).await?;
    Ok(())
}
