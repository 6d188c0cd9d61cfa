//! What a writer said to be committed is there when it was ended in the middle: the writer, a process of its own, and the look at what
//! it left. How it is ended is the test's.

use std::{
    io::{BufRead as _, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use rebar_model::{Seq, World};
use rebar_ports::{HistoryQuery, Store as _};
use rebar_store_sql::SqlStore;

use crate::backend::KEY;

/// Records of a history that are read at once.
const PAGE: u32 = 1_000;

/// A process that commits random changes to a database and says after each commit how far it is.
#[derive(Debug)]
pub struct Writer {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    told: Seq,
}

impl Writer {
    /// Starts it: the program `commit-loop`, where the database is, and what the changes are drawn from.
    pub fn start(program: &Path, database: &str, seed: u64) -> Result<Self> {
        let mut process = Command::new(program)
            .args([database, &seed.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("the writer cannot be started")?;
        let lines = BufReader::new(process.stdout.take().context("the writer has no output")?).lines();
        Ok(Self { process, lines, told: Seq::default() })
    }

    /// Waits until it said something.
    pub fn told_once(&mut self) -> Result<()> {
        let first = self.lines.next().context("the writer said nothing")??;
        self.hear(&first)
    }

    /// Kills it.
    pub fn kill(&mut self) -> Result<()> {
        Ok(self.process.kill()?)
    }

    /// The last change that it said to be committed, once it has ended.
    pub fn told(mut self) -> Result<Seq> {
        while let Some(line) = self.lines.next() {
            self.hear(&line?)?;
        }
        self.process.wait()?;
        Ok(self.told)
    }

    fn hear(&mut self, line: &str) -> Result<()> {
        self.told = Seq(line.trim().parse()?);
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Makes sure that a database has what was told, no hole in its history, and the World that its history gives. How far it is.
pub async fn kept(database: &str, told: Seq) -> Result<Seq> {
    let store = SqlStore::open(database, KEY).await?;
    let loaded = store.load().await?;
    ensure!(loaded.applied() >= told, "{told} was told, {} is there", loaded.applied());
    let mut replayed = World::default();
    loop {
        let page = store.history(HistoryQuery { after: replayed.applied(), deployment: None, limit: PAGE }).await?;
        if page.is_empty() {
            break;
        }
        for record in page {
            ensure!(record.seq == replayed.applied().next(), "history has a hole at {}", record.seq);
            replayed.apply_record(&record)?;
        }
    }
    ensure!(loaded == replayed, "history and projections differ");
    store.close().await;
    Ok(loaded.applied())
}
