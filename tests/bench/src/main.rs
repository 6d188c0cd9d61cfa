//! `rebar-bench`: measures the real engine and the real agents, one figure a command, each as one JSON line on standard output.
//! Nothing here is a test: the figures of a run belong to the machine that it ran on. Peers are measured by `peers/`, in the same
//! run, by the script that `make bench` calls.

mod agents;
mod cases;
mod figure;
mod host;
mod product;
mod real;
mod shape;
mod stage;
mod system;
mod wire;

use anyhow::Result;
use clap::Parser;

use crate::{cases::Case, figure::Figure};

/// Measures one figure.
#[derive(Debug, Parser)]
#[command(name = "rebar-bench")]
struct Cli {
    #[command(subcommand)]
    case: Case,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for figure in runtime.block_on(cli.case.run())? {
        figure.print()?;
    }
    Ok(())
}
