//! `rebar demo`: the main job, shown on one machine.

use anyhow::{Result, bail};

/// How the demo is run.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the demo.
#[expect(clippy::unused_async, reason = "the real one waits for many things")]
pub async fn run(_: Args) -> Result<()> {
    bail!("the demo is not part of this build")
}
