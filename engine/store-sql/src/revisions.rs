//! Questions about accepted plans, those of deployments that are gone too. They are written with the other projections.

use rebar_model::{Revision, Seq};
use rebar_ports::{RevisionQuery, StoreError};

use crate::{
    database::{Database, Row, bound},
    json,
};

const ALL: &str = "SELECT seq, body FROM revision WHERE deployment = $3 AND seq < $1 ORDER BY seq DESC LIMIT $2";
const NUMBERED: &str =
    "SELECT seq, body FROM revision WHERE deployment = $3 AND seq < $1 AND no = $4 ORDER BY seq DESC LIMIT $2";

pub(crate) async fn page(database: &Database, query: RevisionQuery) -> Result<Vec<(Seq, Revision)>, StoreError> {
    let before = query.before.map_or(i64::MAX, |it| bound(it.0));
    let mut values = vec![before.into(), i64::from(query.limit).into(), query.deployment.as_str().into()];
    let sql = match query.no {
        Some(no) => {
            values.push(bound(no.0).into());
            NUMBERED
        }
        None => ALL,
    };
    database.read(sql, values).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<(Seq, Revision), StoreError> {
    let seq = row.int(0)?;
    let seq = u64::try_from(seq).map_err(|_| StoreError::Corrupt { what: "revision", detail: format!("seq {seq}") })?;
    Ok((Seq(seq), json::read("revision", row.text(1)?)?))
}
