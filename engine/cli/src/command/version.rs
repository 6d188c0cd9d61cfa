//! `rebar version`: the versions of this program and of the engine, where one answers.

use std::time::Duration;

use serde::Serialize;

use crate::{app::App, exit::Exit, failure::Failure};

/// How long the engine may take here.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Serialize)]
struct Versions {
    rebar: &'static str,
    engine: Option<String>,
    engine_url: Option<String>,
}

/// Prints versions. Without an engine there is only one.
pub async fn run(app: &App) -> Result<Exit, Failure> {
    let engine = tokio::time::timeout(PATIENCE, async {
        let client = app.client().await.ok()?;
        Some((client.version().await.ok()?.version, client.url().to_owned()))
    })
    .await
    .unwrap_or_default();
    let (engine, engine_url) = engine.unzip();
    let versions = Versions { rebar: env!("CARGO_PKG_VERSION"), engine, engine_url };
    app.output.data(
        &versions,
        || vec![versions.rebar.to_owned()],
        |look| {
            let engine = versions.engine.as_deref().zip(versions.engine_url.as_deref());
            let engine = engine.map_or_else(
                || format!("engine  {} (none answers)", look.none()),
                |(it, url)| format!("engine  {it}  {url}"),
            );
            format!("rebar   {}\n{engine}\n", versions.rebar)
        },
    )?;
    Ok(Exit::Done)
}
