//! Reading history from a sequence number on.

use anyhow::{Result, ensure};
use rebar_model::{DeploymentName, Record, Seq, World};
use rebar_ports::HistoryQuery;

use super::lead;
use crate::{generate::Generator, suite::Subject};

pub(crate) async fn in_pages(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    let epoch = lead(&*store).await?;
    let batch = Generator::new(1, World::default()).records(95)?;
    store.commit(epoch, &batch).await?;
    let mut read: Vec<Record> = Vec::new();
    let mut pages = 0;
    loop {
        let after = read.last().map_or(Seq(0), |it| it.seq);
        let page = store.history(HistoryQuery { after, deployment: None, limit: 10 }).await?;
        ensure!(page.len() <= 10);
        if page.is_empty() {
            break;
        }
        pages += 1;
        read.extend(page);
    }
    ensure!(pages == 10, "{pages} pages");
    ensure!(read == batch);
    let beyond = HistoryQuery { after: Seq(u64::MAX), deployment: None, limit: 10 };
    ensure!(store.history(beyond).await?.is_empty());
    ensure!(store.history(HistoryQuery { limit: 0, ..HistoryQuery::default() }).await?.is_empty());
    Ok(())
}

pub(crate) async fn of_a_deployment(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    let epoch = lead(&*store).await?;
    let batch = Generator::new(2, World::default()).records(300)?;
    store.commit(epoch, &batch).await?;
    for name in Generator::DEPLOYMENTS {
        let name: DeploymentName = name.parse()?;
        let of_it = |it: &&Record| it.change.deployment() == Some(&name) && it.seq > Seq(50);
        let expected: Vec<Record> = batch.iter().filter(of_it).take(20).cloned().collect();
        ensure!(!expected.is_empty());
        let query = HistoryQuery { after: Seq(50), deployment: Some(name.clone()), limit: 20 };
        ensure!(store.history(query).await? == expected, "{name}");
    }
    let query = HistoryQuery { deployment: Some("nobody".parse()?), limit: 20, ..HistoryQuery::default() };
    ensure!(store.history(query).await?.is_empty());
    Ok(())
}
