//! The proof that a deployment can be wiped and rebuilt: what is kept of it, and how it looks.

use std::fmt::Write as _;

use jiff::Timestamp;
use rebar_model::{DeploymentName, RevisionNo};
use serde::{Deserialize, Serialize};

use super::{Look, Tone, words};

/// What is kept of a proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Its number, made of all that it says.
    pub certificate: String,
    /// Whether every cycle went well.
    pub ok: bool,
    /// Of which deployment.
    pub deployment: DeploymentName,
    /// The workload version, `name@version`.
    pub workload: String,
    /// The digest of the workload version.
    pub digest: String,
    /// The revision that was built again and again.
    pub revision: RevisionNo,
    /// The nodes that took part.
    pub nodes: usize,
    /// The node-roles that were rebuilt.
    pub node_roles: usize,
    /// The engine's version.
    pub engine: String,
    /// How many cycles were asked for.
    pub asked: u32,
    /// The cycles.
    pub cycles: Vec<Cycle>,
    /// Outputs that may differ, for their role does not call them stable, and did.
    pub unstable: Vec<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// One wipe and rebuild.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cycle {
    /// Its number, from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long the wipe took.
    pub wipe_seconds: f64,
    /// How long the rebuild took.
    pub rebuild_seconds: f64,
    /// How long both took.
    pub seconds: f64,
    /// Whether it went well.
    pub ok: bool,
    /// Stable outputs that differ from those before.
    pub differing: Vec<String>,
    /// Why it did not go well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Draws one cycle.
pub fn cycle(cycle: &Cycle, look: &Look) -> String {
    let (sign, tone) =
        if cycle.ok { (look.pick("✓", "ok"), Tone::Good) } else { (look.pick("✗", "FAIL"), Tone::Bad) };
    let mut out = format!(
        "cycle {}  wipe {}  rebuild {}  {}",
        cycle.number,
        seconds(cycle.wipe_seconds),
        seconds(cycle.rebuild_seconds),
        look.paint(tone, sign)
    );
    if let Some(failure) = &cycle.failure {
        let _ = write!(out, "  {failure}");
    }
    out + "\n"
}

/// Draws what a proof says in the end, below the lines of its cycles.
pub fn render(proof: &Proof, look: &Look) -> String {
    let mut out = String::new();
    let same = if proof.unstable.is_empty() {
        "outputs identical".to_owned()
    } else {
        format!("stable outputs identical; not marked stable and different: {}", proof.unstable.join(", "))
    };
    let good = proof.cycles.iter().filter(|it| it.ok).count();
    if proof.ok {
        let _ = writeln!(out, "{same}");
    }
    let (word, tone) = if proof.ok { ("certificate", Tone::Good) } else { ("not proven", Tone::Bad) };
    let until = if proof.ok { "  valid until workload or nodes change" } else { "" };
    let _ = writeln!(
        out,
        "{} {}  {}  {}  {good}/{}  {} on {}{until}",
        look.paint(tone, word),
        proof.certificate,
        proof.deployment,
        proof.workload,
        proof.asked,
        words::count(proof.node_roles, "node-role"),
        words::count(proof.nodes, "node")
    );
    out
}

/// Seconds with one digit behind the point.
fn seconds(seconds: f64) -> String {
    if seconds < 60.0 { format!("{seconds:.1}s") } else { words::duration(whole(seconds)) }
}

fn whole(seconds: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a length of time in seconds is far from the limits of i64")]
    let whole = seconds.round() as i64;
    whole
}
