//! Commits random changes to a SQLite file until it is killed, and prints the number of the last change after each commit. The
//! crash test kills it and looks whether the file kept what was printed.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use rebar_conformance::{backend::KEY, generate::Generator};
use rebar_model::Span;
use rebar_ports::Store as _;
use rebar_store_sql::SqlStore;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context("the path of the file is missing")?;
    let seed = arguments.next().context("the seed is missing")?.parse()?;
    let store = SqlStore::open(&path, KEY).await?;
    let epoch = store.lead("commit-loop", Timestamp::UNIX_EPOCH, Span::from_secs(60)).await?.context("not leading")?;
    let mut generator = Generator::new(seed, store.load().await?);
    let mut out = std::io::stdout();
    loop {
        let size = 1 + generator.below(20);
        store.commit(epoch, &generator.records(size)?).await?;
        writeln!(out, "{}", generator.world().applied())?;
        out.flush()?;
    }
}
