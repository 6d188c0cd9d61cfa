//! Questions about attempts, those that ended too.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use rebar_model::{Attempt, AttemptId, Change, Record, World};
use rebar_ports::{AttemptQuery, Store};

use super::lead;
use crate::{generate::Generator, suite::Subject};

/// A store with some attempts, and those as history tells them, the newest first.
async fn some(store: &dyn Store) -> Result<Vec<Attempt>> {
    let epoch = lead(store).await?;
    let batch = Generator::new(1, World::default()).records(800)?;
    store.commit(epoch, &batch[..400]).await?;
    store.commit(epoch, &batch[400..]).await?;
    let mut attempts = BTreeMap::new();
    for Record { change, .. } in batch {
        if let Change::AttemptPut { attempt } = change {
            attempts.insert(attempt.id, *attempt);
        }
    }
    ensure!(attempts.len() > 20 && attempts.values().any(|it| it.outcome.is_some()), "too few attempts to ask about");
    Ok(attempts.into_values().rev().collect())
}

pub(crate) async fn in_pages(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    let expected = some(&*store).await?;
    let mut read: Vec<Attempt> = Vec::new();
    loop {
        let before = read.last().map(|it| it.id);
        let page = store.attempts(AttemptQuery { before, limit: 7, ..AttemptQuery::default() }).await?;
        ensure!(page.len() <= 7);
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    ensure!(read == expected);
    Ok(())
}

pub(crate) async fn of_one_thing(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    let all = some(&*store).await?;
    let Some(one) = all.get(all.len() / 2) else { return Ok(()) };
    ensure!(store.attempt(one.id).await?.as_ref() == Some(one));
    ensure!(store.attempt(AttemptId(u64::MAX)).await?.is_none());
    let id = one.node_role.clone();
    let filtered = |wanted: &dyn Fn(&Attempt) -> bool| all.iter().filter(|it| wanted(it)).cloned().collect::<Vec<_>>();
    let ask = |node_role, deployment, before| AttemptQuery { node_role, deployment, before, limit: 1_000 };

    let of_node_role = filtered(&|it| it.node_role == id);
    ensure!(store.attempts(ask(Some(id.clone()), None, None)).await? == of_node_role);
    let of_deployment = filtered(&|it| it.node_role.deployment == id.deployment);
    ensure!(store.attempts(ask(None, Some(id.deployment.clone()), None)).await? == of_deployment);
    ensure!(store.attempts(ask(Some(id.clone()), Some(id.deployment.clone()), None)).await? == of_node_role);
    ensure!(store.attempts(ask(Some(id.clone()), Some("nobody".parse()?), None)).await?.is_empty());
    let earlier = filtered(&|it| it.node_role == id && it.id < one.id);
    ensure!(store.attempts(ask(Some(id), None, Some(one.id))).await? == earlier);
    Ok(())
}
