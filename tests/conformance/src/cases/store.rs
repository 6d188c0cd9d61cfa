//! Committing and loading: the loaded World is the replayed one, and a commit is all or nothing.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Result, ensure};
use rebar_model::{
    Action, Actor, Breaker, Change, Deployment, DeploymentSpec, Digest, Mode, NodeRoleId, Parameter, ParameterScope,
    Record, Revision, RevisionNo, Seq, Target, Touched, Wishes, World,
};
use rebar_ports::{HistoryQuery, RevisionQuery, Store, StoreError};
use serde_json::{Value, json};

use super::{at, lead, records};
use crate::{generate::Generator, suite::Subject};

const SEEDS: u64 = 6;
const COMMITS: u64 = 25;
const MANY: usize = 5_000;

pub(crate) async fn load_empty(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    ensure!(store.load().await? == World::default());
    ensure!(store.history(HistoryQuery { limit: 10, ..HistoryQuery::default() }).await?.is_empty());
    let epoch = lead(&*store).await?;
    store.commit(epoch, &[]).await?;
    ensure!(store.load().await? == World::default(), "a commit of nothing changes nothing");
    Ok(())
}

/// Random histories over every kind of change, in commits of random sizes.
pub(crate) async fn load_equals_replay(subject: Subject) -> Result<()> {
    for seed in 0..SEEDS {
        let store = subject.open_further(seed).await?.store;
        let epoch = lead(&*store).await?;
        let mut generator = Generator::new(seed, World::default());
        for commit in 0..COMMITS {
            let size = generator.below(60);
            let batch = generator.records(size)?;
            store.commit(epoch, &batch).await?;
            let loaded = store.load().await?;
            ensure!(
                loaded == *generator.world(),
                "seed {seed}, commit {commit}: {}",
                differ(&loaded, generator.world())
            );
        }
        ensure!(generator.kinds_seen() == Generator::KINDS, "seed {seed} left out a kind of change");
        let mut replayed = World::default();
        for record in everything(&*store).await? {
            replayed.apply_record(&record)?;
        }
        ensure!(replayed == *generator.world(), "seed {seed}: history says something else");
    }
    Ok(())
}

/// A deployment that is removed and made again has no revision until one is accepted, although the old ones are kept.
pub(crate) async fn load_after_a_deployment_came_back(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    let epoch = lead(&*store).await?;
    let (put, removed) = (Change::DeploymentPut { deployment: Box::new(deployment()?) }, removed()?);
    let first = vec![put.clone(), accepted(1)?, accepted(2)?, removed.clone(), put.clone()];
    store.commit(epoch, &records(1, first)).await?;
    ensure!(store.load().await?.revision(&"shop".parse()?).is_none());
    store.commit(epoch, &records(6, vec![accepted(1)?])).await?;
    ensure!(store.load().await?.revision(&"shop".parse()?).map(|it| it.no) == Some(RevisionNo(1)));
    store.commit(epoch, &records(7, vec![removed, put, accepted(7)?])).await?;
    ensure!(store.load().await?.revision(&"shop".parse()?).map(|it| it.no) == Some(RevisionNo(7)));
    Ok(())
}

pub(crate) async fn values_come_back_as_they_were(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    let epoch = lead(&*store).await?;
    let values = [
        json!("a \u{0} in the middle"),
        json!("quotes \" ' $1 ?1 and \\ and 🦀 and \u{7f}"),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.1 + 0.2),
        json!(1.797_693_134_862_315_7e308),
        json!(5e-324),
        json!({"": [null, true, {"nested": []}]}),
        json!("x".repeat(1_000_000)),
    ];
    let mut changes = Vec::new();
    for (place, value) in values.iter().enumerate() {
        let parameter = Parameter { value: value.clone(), by: Actor("o'brien \"root\"".to_owned()), at: at(1) };
        let name = format!("p{place}").parse()?;
        changes.push(Change::ParameterSet { scope: ParameterScope::Global, name, parameter: Some(parameter) });
    }
    let batch = records(1, changes);
    store.commit(epoch, &batch).await?;
    ensure!(everything(&*store).await? == batch, "history tells other values");
    let world = store.load().await?;
    for (place, value) in values.iter().enumerate() {
        let loaded: Option<&Value> =
            world.parameter(&ParameterScope::Global, &format!("p{place}").parse()?).map(|it| &it.value);
        ensure!(loaded == Some(value), "p{place} came back as another value");
    }
    Ok(())
}

pub(crate) async fn a_gap_changes_nothing(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    let epoch = lead(&*store).await?;
    let mut generator = Generator::new(1, World::default());
    let mut batch = generator.records(20)?;
    store.commit(epoch, &batch).await?;
    let before = store.load().await?;
    batch = generator.records(20)?;
    let late: Vec<Record> = batch.iter().skip(1).cloned().collect();
    let refused = store.commit(epoch, &late).await;
    ensure!(
        matches!(refused, Err(StoreError::Gap { last: Seq(20), given: Seq(22) })),
        "a beginning too late: {refused:?}"
    );
    let taken = batch.remove(10);
    let refused = store.commit(epoch, &batch).await;
    ensure!(matches!(refused, Err(StoreError::Gap { last: Seq(30), given: Seq(32) })), "a hole inside: {refused:?}");
    ensure!(store.load().await? == before, "the first half of a refused commit is there");
    ensure!(everything(&*store).await?.len() == 20);
    batch.insert(10, taken);
    store.commit(epoch, &batch).await?;
    ensure!(store.load().await? == *generator.world());
    Ok(())
}

pub(crate) async fn records_are_committed_once(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    let epoch = lead(&*store).await?;
    let batch = Generator::new(2, World::default()).records(5)?;
    store.commit(epoch, &batch).await?;
    let refused = store.commit(epoch, &batch).await;
    ensure!(matches!(refused, Err(StoreError::Gap { last: Seq(5), given: Seq(1) })), "{refused:?}");
    // Of two commits of the same place that race, one is refused.
    let mut generator = Generator::new(3, store.load().await?);
    let next = Arc::new(generator.records(5)?);
    let racers: Vec<_> = (0..4)
        .map(|_| {
            let (store, next) = (store.clone(), next.clone());
            tokio::spawn(async move { store.commit(epoch, &next).await.is_ok() })
        })
        .collect();
    let mut winners = 0;
    for racer in racers {
        winners += u32::from(racer.await?);
    }
    ensure!(winners == 1, "{winners} of four equal commits were taken");
    ensure!(store.load().await? == *generator.world());
    Ok(())
}

pub(crate) async fn many_changes_in_one_commit(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    let epoch = lead(&*store).await?;
    let mut generator = Generator::new(4, World::default());
    let batch = generator.records(MANY)?;
    store.commit(epoch, &batch).await?;
    ensure!(store.load().await? == *generator.world());
    ensure!(everything(&*store).await? == batch);
    Ok(())
}

pub(crate) async fn opened_again_it_is_all_there(subject: Subject) -> Result<()> {
    let mut generator = Generator::new(5, World::default());
    let first = subject.open().await?;
    let epoch = lead(&*first.store).await?;
    first.store.commit(epoch, &generator.records(200)?).await?;
    first.vault.put("key", b"secret").await?;
    drop(first);
    let second = subject.open().await?;
    ensure!(second.store.load().await? == *generator.world());
    ensure!(second.vault.get("key").await?.as_deref() == Some(b"secret".as_slice()));
    ensure!(lead(&*second.store).await? == epoch, "the lease was forgotten");
    second.store.commit(epoch, &generator.records(50)?).await?;
    ensure!(subject.open().await?.store.load().await? == *generator.world());
    Ok(())
}

/// Every accepted plan stays, the newest first, also those of a deployment of this name that is gone.
pub(crate) async fn revisions_are_kept(subject: Subject) -> Result<()> {
    let store = subject.open().await?.store;
    let epoch = lead(&*store).await?;
    let put = || Ok::<_, anyhow::Error>(Change::DeploymentPut { deployment: Box::new(deployment()?) });
    let changes = vec![put()?, accepted(1)?, accepted(2)?, removed()?, put()?, accepted(1)?];
    store.commit(epoch, &records(1, changes)).await?;
    let query = |no: Option<u64>, before: Option<u64>, limit: u32| -> Result<RevisionQuery> {
        let (no, before) = (no.map(RevisionNo), before.map(Seq));
        Ok(RevisionQuery { deployment: "shop".parse()?, no, before, limit })
    };
    let cases: [(_, &[(u64, u64)]); 6] = [
        (query(None, None, 10)?, &[(6, 1), (3, 2), (2, 1)]),
        (query(None, None, 2)?, &[(6, 1), (3, 2)]),
        (query(None, Some(3), 2)?, &[(2, 1)]),
        (query(Some(1), None, 1)?, &[(6, 1)]),
        (query(Some(7), None, 1)?, &[]),
        (RevisionQuery { deployment: "other".parse()?, ..query(None, None, 10)? }, &[]),
    ];
    for (query, expected) in cases {
        let seen = store.revisions(query.clone()).await?;
        let places: Vec<_> = seen.iter().map(|(seq, it)| (seq.0, it.no.0)).collect();
        ensure!(places == expected, "{query:?}: {places:?}");
        for (_, revision) in seen {
            let Change::RevisionAccepted { revision: expected } = accepted(revision.no.0)? else { continue };
            ensure!(revision == *expected);
        }
    }
    Ok(())
}

/// All of history, page by page.
async fn everything(store: &dyn Store) -> Result<Vec<Record>> {
    let mut records: Vec<Record> = Vec::new();
    loop {
        let after = records.last().map_or(Seq(0), |it| it.seq);
        let page = store.history(HistoryQuery { after, deployment: None, limit: 1_000 }).await?;
        if page.is_empty() {
            return Ok(records);
        }
        records.extend(page);
    }
}

/// The first line on which two Worlds differ.
fn differ(loaded: &World, replayed: &World) -> String {
    let (loaded, replayed) = (format!("{loaded:#?}"), format!("{replayed:#?}"));
    let lines = loaded.lines().zip(replayed.lines()).enumerate();
    lines
        .filter(|(_, (left, right))| left != right)
        .take(1)
        .fold(String::new(), |_, (line, (left, right))| format!("line {line}: loaded {left}, replayed {right}"))
}

fn spec() -> DeploymentSpec {
    DeploymentSpec { workload: Digest::of(b"shop"), groups: BTreeMap::new(), profiles: Vec::new() }
}

fn deployment() -> Result<Deployment> {
    Ok(Deployment {
        name: "shop".parse()?,
        spec: spec(),
        revision: RevisionNo(0),
        mode: Mode::Converging,
        paused: None,
        leaders: BTreeMap::new(),
        created_at: at(0),
        rebuilds: 0,
        breaker: Breaker::default(),
    })
}

fn removed() -> Result<Change> {
    Ok(Change::DeploymentRemoved { name: "shop".parse()? })
}

fn accepted(no: u64) -> Result<Change> {
    let revision = Revision {
        deployment: "shop".parse()?,
        no: RevisionNo(no),
        wishes: Wishes { spec: spec(), parameters: BTreeMap::from([("size".parse()?, json!(no))]) },
        restores: None,
        plan: Digest::of(b"plan"),
        by: Actor("ann".to_owned()),
        at: at(no),
        touched: vec![Touched {
            id: NodeRoleId { deployment: "shop".parse()?, role: "web".parse()?, target: Target::Deployment },
            action: Action::Create,
        }],
    };
    Ok(Change::RevisionAccepted { revision: Box::new(revision) })
}
