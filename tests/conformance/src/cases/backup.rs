//! Backups: what comes back is what was there, on either database; what is damaged, sealed with another key or meant for a database
//! that is not empty changes nothing.

use std::{collections::BTreeMap, convert::Infallible};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use rebar_model::{
    Actor, Attempt, AttemptId, Change, Digest, Epoch, Parameter, ParameterScope, Record, SecretRef, Seq, World,
};
use rebar_ports::{AttemptQuery, Claim, HistoryQuery, LogChunk, Store};
use rebar_store_sql::{Backup, BackupError, Restored, Restoring, SqlStore, back_up, backed_up, restore};
use serde_json::json;

use super::{TTL, at, lead, records};
use crate::{
    backend::{KEY, OTHER_KEY, Ports},
    generate::Generator,
    suite::Subject,
};

const COMMITS: usize = 30;
const CHUNKS: u64 = 700;
const LARGE_BLOB: usize = 3 << 20;
const FLIPS: usize = 12;

/// When backups are restored: after their lease.
fn later() -> Timestamp {
    at(1_000_000)
}

fn restoring() -> Restoring {
    Restoring { now: later(), epoch_at_least: Epoch(0), by: Actor("restore".to_owned()) }
}

async fn taken(address: &str) -> Result<(Vec<u8>, Backup)> {
    let mut file = Vec::new();
    let backup = back_up(address, &KEY, at(50), &mut file).await?;
    ensure!(backup.bytes == file.len() as u64 && backup.label.at == at(50));
    Ok((file, backup))
}

async fn put_back(address: &str, file: &[u8]) -> Result<Restored, BackupError> {
    restore(address, &KEY, restoring(), file, |_| Ok::<_, Infallible>(Vec::new())).await
}

/// Everything that the ports can say about a database.
#[derive(Debug, PartialEq)]
struct Everything {
    world: World,
    history: Vec<Record>,
    attempts: Vec<Attempt>,
    logs: Vec<LogChunk>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    secrets: Vec<Option<Vec<u8>>>,
    claims: Vec<Claim>,
}

impl Everything {
    async fn of(ports: &Ports) -> Result<Self> {
        let mut blobs = BTreeMap::new();
        for blob in blobs_of() {
            let digest = Digest::of(&blob);
            blobs.extend(ports.blobs.get(digest).await?.map(|it| (digest, it)));
        }
        let reference = reference(ports).await?;
        let secrets = vec![ports.vault.open(&reference).await?, ports.vault.get("ca").await?];
        Ok(Self {
            world: ports.store.load().await?,
            history: history(&*ports.store).await?,
            attempts: ports.store.attempts(AttemptQuery { limit: u32::MAX, ..AttemptQuery::default() }).await?,
            logs: ports.logs.read(AttemptId(1), 0, u32::MAX).await?,
            blobs,
            secrets,
            claims: ports.ledger.claims().await?,
        })
    }
}

fn blobs_of() -> [Vec<u8>; 3] {
    let large = (0..LARGE_BLOB).map(|place| u8::try_from(place % 251).unwrap_or(0)).collect();
    [Vec::new(), vec![0, 255, 10, 13], large]
}

/// The reference of the secret that [`fill`] seals; sealing it again changes nothing.
async fn reference(ports: &Ports) -> Result<SecretRef> {
    Ok(ports.vault.seal(b"hunter2").await?)
}

async fn history(store: &dyn Store) -> Result<Vec<Record>> {
    Ok(store.history(HistoryQuery { after: Seq(0), deployment: None, limit: u32::MAX }).await?)
}

/// Fills a database with something of everything.
async fn fill(ports: &Ports, seed: u64) -> Result<()> {
    let epoch = lead(&*ports.store).await?;
    let mut generator = Generator::new(seed, World::default());
    for _ in 0..COMMITS {
        let size = generator.below(60);
        ports.store.commit(epoch, &generator.records(size)?).await?;
    }
    ensure!(generator.kinds_seen() == Generator::KINDS, "seed {seed} left out a kind of change");
    let chunk = |place: u64| LogChunk {
        attempt: AttemptId(1),
        offset: place * 4,
        phase: None,
        at: at(place),
        text: format!("{place:03}\n\0\u{fffd}"),
        bytes: 4,
        lost: 0,
    };
    ports.logs.append(&(0..CHUNKS).map(chunk).collect::<Vec<_>>()).await?;
    for blob in blobs_of() {
        ports.blobs.put(Digest::of(&blob), &blob).await?;
    }
    reference(ports).await?;
    ports.vault.put("ca", b"a key").await?;
    for address in ["10.0.0.9", "10.0.0.10"] {
        let claim = Claim { pool: "10.0.0.0/24".parse()?, address: address.parse()?, owner: "demo/ip@n1".to_owned() };
        ensure!(ports.ledger.claim(&claim).await?);
    }
    Ok(())
}

/// What is backed up of one database comes back in another, whichever kind either is.
pub async fn carried_over(from: &Subject, to: &Subject) -> Result<()> {
    let (Some(source), Some(target)) = (from.further_address(1), to.further_address(2)) else { return Ok(()) };
    let ports = from.open_further(1).await?;
    fill(&ports, 7).await?;
    let mut expected = Everything::of(&ports).await?;
    let (file, backup) = taken(&source?).await?;
    ensure!(backup.label.applied == expected.world.applied());
    ensure!(Everything::of(&ports).await? == expected, "taking a backup changes nothing");
    let restored = put_back(&target?, &file).await?;
    ensure!(restored.label == backup.label && restored.rows == backup.rows);
    ensure!(restored.rows.len() == backed_up().len());
    ensure!(restored.applied == backup.label.applied.next(), "one change says that it was restored");
    // That change, and attempts that go on above all that may have been given out.
    let change = Change::EpochBegan { epoch: restored.epoch };
    let by = Actor("restore".to_owned());
    expected.history.push(Record { seq: restored.applied, at: later(), by, change: change.clone() });
    expected.world.apply(&change)?;
    expected.world.set_applied(restored.applied, AttemptId(restored.epoch.0));
    let found = Everything::of(&to.open_further(2).await?).await?;
    for (what, same) in [
        ("World", found.world == expected.world),
        ("history", found.history == expected.history),
        ("attempts", found.attempts == expected.attempts),
        ("logs", found.logs == expected.logs),
        ("blobs", found.blobs == expected.blobs && found.blobs.len() == 3),
        ("secrets", found.secrets == expected.secrets && found.secrets.iter().all(Option::is_some)),
        ("claims", found.claims == expected.claims && found.claims.len() == 2),
    ] {
        ensure!(same, "the {what} came back as something else");
    }
    Ok(())
}

pub(crate) async fn comes_back(subject: Subject) -> Result<()> {
    carried_over(&subject, &subject).await
}

/// An engine commits without pause while backups are taken; each is what one commit left.
pub(crate) async fn of_one_moment(subject: Subject) -> Result<()> {
    let Some(source) = subject.address().transpose()? else { return Ok(()) };
    let ports = subject.open().await?;
    let epoch = lead(&*ports.store).await?;
    let mut generator = Generator::new(3, World::default());
    ports.store.commit(epoch, &generator.records(2_000)?).await?;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let store = ports.store.clone();
    let committing = tokio::spawn(async move {
        while !*stopped.borrow_and_update() {
            store.commit(epoch, &generator.records(20)?).await?;
        }
        anyhow::Ok(generator.world().applied())
    });
    let mut seen = Seq(0);
    for which in 1..=3 {
        let (file, backup) = taken(&source).await?;
        ensure!(backup.label.applied > seen, "nothing was committed meanwhile");
        seen = backup.label.applied;
        let target = subject.further_address(which).context("a place")??;
        put_back(&target, &file).await?;
        let store = subject.open_further(which).await?.store;
        let mut replayed = World::default();
        for record in history(&*store).await? {
            ensure!(record.seq == replayed.applied().next(), "history has a hole at {}", record.seq);
            replayed.apply_record(&record)?;
        }
        let loaded = store.load().await?;
        replayed.set_applied(replayed.applied(), AttemptId(loaded.next_attempt().0 - 1));
        ensure!(loaded == replayed, "history and projections are of two moments");
    }
    stop.send(true)?;
    let last = committing.await??;
    ensure!(last > seen, "commits went on");
    Ok(())
}

/// Torn, cut, lengthened, flipped: refused, and the database stays empty, so that a whole one goes in.
pub(crate) async fn damaged_leaves_nothing(subject: Subject) -> Result<()> {
    let Some(source) = subject.address().transpose()? else { return Ok(()) };
    let target = subject.further_address(1).context("a place")??;
    let ports = subject.open().await?;
    let epoch = lead(&*ports.store).await?;
    ports.store.commit(epoch, &Generator::new(5, World::default()).records(600)?).await?;
    let (file, _) = taken(&source).await?;
    let refused = async |bytes: &[u8], what: &str| match put_back(&target, bytes).await {
        Err(BackupError::Damaged { .. } | BackupError::NotABackup { .. }) => Ok(()),
        Err(error) => bail!("{what}: refused as something else: {error:?}"),
        Ok(_) => bail!("{what}: it was restored"),
    };
    refused(b"", "an empty file").await?;
    refused(b"-- a dump of something else\n", "something else").await?;
    for place in [5, 100, file.len() / 2, file.len() - 200, file.len() - 5, file.len() - 1] {
        refused(&file[..place], &format!("cut after {place} of {} bytes", file.len())).await?;
    }
    refused(&[file.as_slice(), b"more"].concat(), "with something behind it").await?;
    refused(&[file.as_slice(), &file].concat(), "twice").await?;
    for flip in 0..FLIPS {
        // Behind the head of the frame, where bits are that change nothing.
        let place = 16 + flip * (file.len() - 16) / FLIPS;
        let mut bent = file.clone();
        bent[place] ^= 1 << (flip % 8);
        refused(&bent, &format!("a bit of byte {place} flipped")).await?;
    }
    let store = subject.open_further(1).await?.store;
    ensure!(store.load().await? == World::default() && history(&*store).await?.is_empty(), "something is left");
    put_back(&target, &file).await?;
    Ok(())
}

pub(crate) async fn into_an_empty_database_alone(subject: Subject) -> Result<()> {
    let Some(source) = subject.address().transpose()? else { return Ok(()) };
    let ports = subject.open().await?;
    fill(&ports, 11).await?;
    let (file, _) = taken(&source).await?;
    let before = Everything::of(&ports).await?;
    let refused = put_back(&source, &file).await;
    ensure!(matches!(refused, Err(BackupError::NotEmpty { .. })), "over itself: {refused:?}");
    ensure!(Everything::of(&ports).await? == before);
    let target = subject.further_address(1).context("a place")??;
    let further = subject.open_further(1).await?;
    further.vault.put("ca", b"of another engine").await?;
    let refused = put_back(&target, &file).await;
    ensure!(matches!(refused, Err(BackupError::NotEmpty { table: "sealed" })), "over a key: {refused:?}");
    further.vault.remove("ca").await?;
    // Led at the time of the restore, although nothing was committed yet.
    ensure!(further.store.lead("somebody", later(), TTL).await?.is_some());
    let refused = put_back(&target, &file).await;
    ensure!(matches!(refused, Err(BackupError::Led { .. })), "beside an engine: {refused:?}");
    further.store.resign("somebody").await?;
    put_back(&target, &file).await?;
    let refused = put_back(&target, &file).await;
    ensure!(matches!(refused, Err(BackupError::NotEmpty { .. })), "twice: {refused:?}");
    Ok(())
}

pub(crate) async fn one_key(subject: Subject) -> Result<()> {
    let Some(source) = subject.address().transpose()? else { return Ok(()) };
    let target = subject.further_address(1).context("a place")??;
    let nothing = |_| Ok::<_, Infallible>(Vec::new());
    drop(subject.open().await?);
    let refused = back_up(&source, &OTHER_KEY, at(50), Vec::new()).await;
    ensure!(matches!(refused, Err(BackupError::OtherKey { what: "database" })), "taken: {refused:?}");
    let (file, _) = taken(&source).await?;
    let refused = restore(&target, &OTHER_KEY, restoring(), file.as_slice(), nothing).await;
    ensure!(matches!(refused, Err(BackupError::OtherKey { what: "backup" })), "restored: {refused:?}");
    // Nor into a database that somebody has begun with another key.
    let mut foreign = Vec::new();
    let begun = subject.further_address(2).context("a place")??;
    SqlStore::open(&begun, OTHER_KEY).await?.close().await;
    back_up(&begun, &OTHER_KEY, at(50), &mut foreign).await?;
    let refused = put_back(&begun, &file).await;
    ensure!(matches!(refused, Err(BackupError::OtherKey { what: "database" })), "into a foreign one: {refused:?}");
    put_back(&target, &file).await?;
    Ok(())
}

/// Epochs and attempts are above any that may have been given out, also by an engine on an earlier restore of the same backup.
pub(crate) async fn numbers_go_on(subject: Subject) -> Result<()> {
    let Some(source) = subject.address().transpose()? else { return Ok(()) };
    let place = |which| subject.further_address(which).context("a place")?;
    let ports = subject.open().await?;
    fill(&ports, 13).await?;
    let (file, backup) = taken(&source).await?;
    let first = put_back(&place(1)?, &file).await?;
    let store = subject.open_further(1).await?.store;
    let world = store.load().await?;
    ensure!(first.epoch > backup.label.epoch && world.epoch() == first.epoch);
    ensure!(world.next_attempt() > backup.label.last_attempt.next() && world.next_attempt().0 > first.epoch.0);
    let led = store.lead("new", later(), TTL).await?.context("nobody leads after a restore")?;
    ensure!(led > first.epoch, "an engine begins above it");
    store.commit(led, &[]).await?;
    // A second later, from the same backup.
    let again = Restoring { now: rebar_model::Span::from_secs(1).after(later()), ..restoring() };
    let settle = |_| Ok::<_, Infallible>(Vec::new());
    let second = restore(&place(2)?, &KEY, again, file.as_slice(), settle).await?;
    ensure!(second.epoch.0 > first.epoch.0 + 1_000, "the engine on the first restore has used some");
    let wanted = Restoring { epoch_at_least: Epoch(first.epoch.0 * 2), ..restoring() };
    let third = restore(&place(3)?, &KEY, wanted.clone(), file.as_slice(), settle).await?;
    ensure!(third.epoch == wanted.epoch_at_least);
    settled(&place(4)?, &file, subject.open_further(4).await?.store).await
}

/// What follows from restoring is committed with it, or nothing is.
async fn settled(target: &str, file: &[u8], store: std::sync::Arc<dyn Store>) -> Result<()> {
    let refused = restore(target, &KEY, restoring(), file, |_| Err::<Vec<Change>, _>("no")).await;
    ensure!(matches!(refused, Err(BackupError::Unsettled(_))), "{refused:?}");
    ensure!(store.load().await? == World::default(), "something is left");
    let set = |world: World| {
        let by = Actor(format!("attempts go on from {}", world.next_attempt()));
        let parameter = Some(Parameter { value: json!(1), by, at: later() });
        let name = "restored".parse().map_err(|_| "no name")?;
        Ok::<_, &str>(vec![Change::ParameterSet { scope: ParameterScope::Global, name, parameter }])
    };
    let restored = restore(target, &KEY, restoring(), file, set).await?;
    let world = store.load().await?;
    let parameter = world.parameter(&ParameterScope::Global, &"restored".parse()?).context("nothing was set")?;
    ensure!(parameter.by.0 == format!("attempts go on from {}", world.next_attempt()));
    ensure!(world.applied() == restored.applied && restored.applied.0 == restored.label.applied.0 + 2);
    ensure!(store.load().await?.epoch() == restored.epoch);
    let epoch = store.lead("new", later(), TTL).await?.context("nobody leads after a restore")?;
    store.commit(epoch, &records(restored.applied.0 + 1, vec![Change::EpochBegan { epoch }])).await?;
    Ok(())
}
