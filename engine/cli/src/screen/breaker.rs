//! Breakers: a list of them, and one with what it bears and why it is open.

use std::fmt::Write as _;

use jiff::Timestamp;
use rebar_api::types::BreakerView;
use rebar_model::NodeName;

use super::{Look, Table, Tone, toned, words};

/// Draws a list of breakers.
pub fn list(breakers: &[BreakerView], now: Timestamp, look: &Look) -> Table {
    let mut table = Table::new(look, &["DEPLOYMENT", "BREAKER", "SINCE", "FAILED", "IN A ROW", "WHY"])
        .or("no deployments yet: rebar deployment create NAME --workload W@V --group GROUP=NODES\n");
    for it in breakers {
        table.row(vec![
            (&it.deployment).into(),
            toned(tone(it), it.state.clone()),
            it.since.map(|since| words::ago(since, now)).unwrap_or_default().into(),
            of(it.failed.len(), it.max_failed).into(),
            of(it.in_a_row as usize, it.consecutive).into(),
            it.why.clone().unwrap_or_default().into(),
        ]);
    }
    table
}

/// Draws one breaker.
pub fn show(breaker: &BreakerView, now: Timestamp, look: &Look) -> String {
    let name = &breaker.deployment;
    let mut out = format!(
        "breaker of {}  {}",
        look.paint(Tone::Strong, name.as_str()),
        look.paint(tone(breaker), &breaker.state)
    );
    // Writing to a string cannot fail, here and below.
    if let (Some(since), Some(by)) = (breaker.since, &breaker.by) {
        let _ = write!(out, "  {}, by {by}", words::ago(since, now));
    }
    out.push_str("\n\n");
    let failed = words::ranges(breaker.failed.iter().map(NodeName::as_str));
    let failed = if failed.is_empty() { String::new() } else { format!("  {failed}") };
    let _ = writeln!(out, "failed nodes  {}{failed}", bears(breaker.failed.len(), breaker.max_failed, "opens at more"));
    let _ = writeln!(out, "in a row      {}", bears(breaker.in_a_row as usize, breaker.consecutive, "opens then"));
    if let Some(why) = &breaker.why {
        let _ = writeln!(out, "why           {why}");
    }
    if let Some(probe) = &breaker.probe {
        let _ = writeln!(out, "tried         {}", probe.local());
    }
    if breaker.state == "open" {
        let _ = writeln!(
            out,
            "\nnothing starts    one to try: rebar breaker reset {name} --probe    all: rebar breaker reset {name}"
        );
    }
    out
}

fn tone(breaker: &BreakerView) -> Tone {
    match breaker.state.as_str() {
        "closed" => Tone::Good,
        "open" => Tone::Bad,
        _ => Tone::Change,
    }
}

fn of(count: usize, bound: Option<u32>) -> String {
    bound.map_or_else(|| count.to_string(), |bound| format!("{count} of {bound}"))
}

fn bears(count: usize, bound: Option<u32>, then: &str) -> String {
    match bound {
        Some(bound) => format!("{count} of {bound}, {then}"),
        None => format!("{count}, and the workload sets no bound"),
    }
}
