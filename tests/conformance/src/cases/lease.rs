//! Who leads: one engine at a time, with an epoch that only grows.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rebar_model::{Epoch, World};
use rebar_ports::StoreError;

use super::{TTL, at};
use crate::{generate::Generator, suite::Subject};

const ROUNDS: u64 = 8;

/// How long an engine commits before another takes over.
const WRITING: Duration = Duration::from_millis(30);

pub(crate) async fn taken_and_renewed(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    ensure!(store.lead("a", at(0), TTL).await? == Some(Epoch(1)));
    ensure!(store.lead("a", at(5), TTL).await? == Some(Epoch(1)), "renewing keeps the epoch");
    ensure!(store.lead("b", at(14), TTL).await?.is_none(), "the renewed lease still runs");
    ensure!(store.lead("b", at(15), TTL).await? == Some(Epoch(2)), "it ran out");
    ensure!(store.lead("a", at(16), TTL).await?.is_none());
    ensure!(store.lead("b", at(25), TTL).await? == Some(Epoch(2)), "who is late goes on when nobody took it");
    ensure!(store.lead("a", at(35), TTL).await? == Some(Epoch(3)), "it ran out again");
    ensure!(store.lead("b", at(45), TTL).await? == Some(Epoch(4)), "who was replaced gets a new epoch");
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
    let engines = subject.open_several(6).await?;
    for round in 0..5 {
        let now = at(round * 100);
        // Names of their own in every round: who leads already goes on with the epoch that it has.
        let attempts = engines.iter().enumerate().map(|(place, ports)| {
            let store = ports.store.clone();
            tokio::spawn(async move { store.lead(&format!("engine-{place}-{round}"), now, TTL).await })
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

/// An engine that took over sees everything that the other one was told to be committed, and nothing comes after.
pub(crate) async fn nothing_is_committed_behind_a_takeover(subject: Subject) -> Result<()> {
    for round in 0..ROUNDS {
        let (old, new) = (subject.open().await?.store, subject.open().await?.store);
        let epoch = old.lead("old", at(round * 1_000), TTL).await?.context("it is free")?;
        let mut generator = Generator::new(round, old.load().await?);
        let writer = tokio::spawn(async move {
            loop {
                let before = generator.world().applied();
                match old.commit(epoch, &generator.records(3)?).await {
                    Ok(()) => {}
                    Err(StoreError::Fenced { .. }) => return anyhow::Ok(before),
                    Err(error) => return Err(error.into()),
                }
                tokio::task::yield_now().await;
            }
        });
        tokio::time::sleep(WRITING).await;
        new.lead("new", at(round * 1_000 + 500), TTL).await?.context("the other lease ran out")?;
        let seen = new.load().await?.applied();
        let told = writer.await??;
        ensure!(seen == told, "round {round}: the new engine saw {seen}, the old one was told {told}");
        new.resign("new").await?;
    }
    Ok(())
}
