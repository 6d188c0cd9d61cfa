//! Questions about attempts, those that ended too. They are written with the other projections.

use rebar_model::{Attempt, AttemptId};
use rebar_ports::{AttemptQuery, StoreError};

use crate::{
    database::{Database, Row, bound},
    json,
};

const ONE: &str = "SELECT body FROM attempt WHERE id = $1";
const ALL: &str = "SELECT body FROM attempt WHERE id < $1 ORDER BY id DESC LIMIT $2";
const OF_DEPLOYMENT: &str = "SELECT body FROM attempt WHERE id < $1 AND deployment = $3 ORDER BY id DESC LIMIT $2";
const OF_NODE_ROLE: &str = "SELECT body FROM attempt WHERE id < $1 AND node_role = $3 ORDER BY id DESC LIMIT $2";

pub(crate) async fn one(database: &Database, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
    let rows = database.read(ONE, vec![bound(id.0).into()]).await?;
    rows.first().map(read).transpose()
}

pub(crate) async fn page(database: &Database, query: AttemptQuery) -> Result<Vec<Attempt>, StoreError> {
    let before = query.before.map_or(i64::MAX, |id| bound(id.0));
    let mut values = vec![before.into(), i64::from(query.limit).into()];
    let sql = match (query.node_role, query.deployment) {
        (Some(id), Some(deployment)) if id.deployment != deployment => return Ok(Vec::new()),
        (Some(id), _) => {
            values.push(id.to_string().into());
            OF_NODE_ROLE
        }
        (None, Some(deployment)) => {
            values.push(deployment.as_str().into());
            OF_DEPLOYMENT
        }
        (None, None) => ALL,
    };
    database.read(sql, values).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Attempt, StoreError> {
    json::read("attempt", row.text(0)?)
}
