//! The summary of a demo: for people on the terminal, for tools in a file.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Args, DemoEngine};

/// What a demo came to.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// How many nodes.
    pub nodes: u8,
    /// From the accepted plan to everything active.
    pub deploy_seconds: f64,
    /// Whether the page came through the load balancer, after the deploy and after the last rebuild.
    pub fetched_through_lb: bool,
    /// The rebuilds.
    pub redeploys: Vec<Redeploy>,
    /// How many attempts the second apply started.
    pub second_apply_changed: u64,
}

/// One rebuild.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Redeploy {
    /// From the wipe to everything active.
    pub seconds: f64,
    /// Whether everything became active.
    pub ok: bool,
}

/// The record that `rebar prove` keeps, as far as the summary needs it.
#[derive(Deserialize)]
struct Proof {
    cycles: Vec<Redeploy>,
}

/// The rebuilds of a proof.
pub(super) fn redeploys(record: &Path) -> Result<Vec<Redeploy>> {
    let text = fs::read_to_string(record).with_context(|| format!("{} cannot be read", record.display()))?;
    Ok(serde_json::from_str::<Proof>(&text).context("the record of the proof")?.cycles)
}

impl Summary {
    /// Writes it for tools.
    pub fn write(&self, file: &Path) -> Result<()> {
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, serde_json::to_string_pretty(self)? + "\n")?;
        Ok(())
    }

    /// Prints it for people.
    pub fn print(&self, args: &Args, engine: &DemoEngine) {
        super::say("Done");
        anstream::eprintln!("  nodes                 {}", self.nodes);
        anstream::eprintln!("  deployed in           {:.1} s", self.deploy_seconds);
        anstream::eprintln!("  page through the LB   {}", if self.fetched_through_lb { "yes" } else { "no" });
        anstream::eprintln!("  second apply changed  {}", self.second_apply_changed);
        for (cycle, it) in (1..).zip(&self.redeploys) {
            let outcome = if it.ok { "ok" } else { "FAILED" };
            anstream::eprintln!("  rebuild {cycle}             {:.1} s  {outcome}", it.seconds);
        }
        anstream::eprintln!("\nThe engine goes on. Look around:");
        anstream::eprintln!("  export REBAR_URL={} REBAR_CA_FILE={}", engine.url, engine.ca_file.display());
        anstream::eprintln!("  export REBAR_TOKEN=$(cat {})", engine.token_file.display());
        anstream::eprintln!("  target/debug/rebar status demo");
        anstream::eprintln!("The summary is {}. Take everything away with `make demo-clean`.", args.summary.display());
    }
}
