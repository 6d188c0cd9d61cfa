//! The suite against a real PostgreSQL: one server for all cases, a database for each. One test, since each test is a process.

use std::sync::Arc;

use anyhow::{Result, ensure};
use rebar_conformance::{
    Subject,
    backend::{Files, KEY, Served},
    carried_over,
    postgres::Server,
    run,
};
use rebar_store_sql::SqlStore;

#[test]
fn postgres_conforms() -> Result<()> {
    // On this thread: the server lives as long as the thread that starts it.
    let server = Arc::new(Server::start()?);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        run(Arc::new(Served { server: server.clone() })).await?;
        the_twins_have_equal_tables(&server).await?;
        what_one_backs_up_the_other_restores(&server).await
    })
}

async fn what_one_backs_up_the_other_restores(server: &Arc<Server>) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let files = Subject::new(Arc::new(Files { directory: directory.path().to_owned() }), "carried");
    let served = Subject::new(Arc::new(Served { server: server.clone() }), "carried");
    carried_over(&files, &served).await?;
    carried_over(&served, &files).await
}

async fn the_twins_have_equal_tables(server: &Server) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("rebar.db");
    let sqlite = SqlStore::open(&file.display().to_string(), KEY).await?.tables().await?;
    let postgres = SqlStore::open(&server.database("tables")?, KEY).await?.tables().await?;
    ensure!(sqlite.len() >= 17, "the tables were not found: {sqlite:?}");
    ensure!(sqlite == postgres, "SQLite has {sqlite:#?}\nPostgreSQL has {postgres:#?}");
    Ok(())
}
