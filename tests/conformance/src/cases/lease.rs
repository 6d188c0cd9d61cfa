//! Who leads: one engine at a time, with an epoch that only grows.

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use rebar_model::{Epoch, World};
use rebar_ports::StoreError;

use super::{TTL, at};
use crate::{generate::Generator, suite::Subject};

pub(crate) async fn taken_and_renewed(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    ensure!(store.lead("a", at(0), TTL).await? == Some(Epoch(1)));
    ensure!(store.lead("a", at(5), TTL).await? == Some(Epoch(1)), "renewing keeps the epoch");
    ensure!(store.lead("b", at(14), TTL).await?.is_none(), "the renewed lease still runs");
    ensure!(store.lead("b", at(15), TTL).await? == Some(Epoch(2)), "it ran out");
    ensure!(store.lead("a", at(16), TTL).await?.is_none());
    ensure!(store.lead("b", at(25), TTL).await? == Some(Epoch(3)), "who did not lead for a moment gets a new epoch");
    Ok(())
}

pub(crate) async fn resigned(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    let first = store.lead("a", at(0), TTL).await?.context("it is free")?;
    store.resign("b").await?;
    ensure!(store.lead("b", at(1), TTL).await?.is_none(), "nobody resigns for another");
    store.resign("a").await?;
    let second = store.lead("b", at(1), TTL).await?.context("a resigned")?;
    ensure!(second > first);
    Ok(())
}

pub(crate) async fn one_of_many_leads(subject: Subject) -> Result<()> {
    // Connections of their own, as of engines on several machines.
    let engines = try_join_all((0..6).map(|_| subject.open())).await?;
    for round in 0..5 {
        let now = at(round * 100);
        let attempts = engines.iter().enumerate().map(|(place, ports)| {
            let store = ports.store.clone();
            tokio::spawn(async move { store.lead(&format!("engine-{place}"), now, TTL).await })
        });
        let mut epochs = Vec::new();
        for attempt in attempts.collect::<Vec<_>>() {
            epochs.extend(attempt.await??);
        }
        ensure!(epochs == [Epoch(round + 1)], "round {round}: {epochs:?}");
    }
    Ok(())
}

pub(crate) async fn a_lower_epoch_is_refused(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    let mut generator = Generator::new(1, World::default());
    let old = store.lead("a", at(0), TTL).await?.context("it is free")?;
    store.commit(old, &generator.records(5)?).await?;
    let before = generator.world().clone();
    let new = store.lead("b", at(60), TTL).await?.context("it ran out")?;
    let batch = generator.records(5)?;
    let refused = store.commit(old, &batch).await;
    ensure!(
        matches!(refused, Err(StoreError::Fenced { given, current }) if given == old && current == new),
        "{refused:?}"
    );
    ensure!(matches!(store.commit(old, &[]).await, Err(StoreError::Fenced { .. })), "even with nothing to commit");
    ensure!(store.load().await? == before);
    store.commit(new, &batch).await?;
    store.resign("b").await?;
    ensure!(matches!(store.commit(old, &[]).await, Err(StoreError::Fenced { .. })), "resigning lowers no epoch");
    Ok(())
}
