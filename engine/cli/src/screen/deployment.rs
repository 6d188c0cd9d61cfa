//! Lists of deployments, one deployment, its revisions and outputs.

use std::fmt::Write as _;

use jiff::Timestamp;
use rebar_api::types::{DeploymentSummary, DeploymentView, OutputView, RevisionDiff, RevisionView};
use rebar_model::{DeploymentSpec, NodeName, ProfileName, RevisionNo, Standing};
use serde_json::Value;

use super::{Look, Table, Text, Tone, ordered, status, tone, toned, words};

/// Draws a list of deployments.
pub fn list(deployments: &[DeploymentSummary], now: Timestamp, look: &Look) -> Table {
    let mut head = vec!["DEPLOYMENT", "WORKLOAD", "REVISION", "STATE", "NODE-ROLES"];
    if look.is_wide() {
        head.extend(["REBUILDS", "AGE"]);
    }
    let mut table = Table::new(look, &head)
        .or("no deployments yet: rebar deployment create NAME --workload W@V --group GROUP=NODES\n");
    for it in deployments {
        let (standing, word) = status::overall(status::Overall {
            mode: it.mode,
            applied: it.revision.0 > 0,
            active: it.active,
            settled: it.settled,
            person: it.needs_person,
            failed: it.counts.get(&Standing::Failed).copied().unwrap_or(0) > 0,
        });
        let held = it.paused.as_ref().map(|reason| format!(" (held: {reason})")).unwrap_or_default();
        let word = if look.ascii { word.to_owned() } else { format!("{} {word}", look.glyph(standing)) };
        let mut row: Vec<Text> = vec![
            (&it.name).into(),
            (&it.workload.reference).into(),
            it.revision.into(),
            toned(tone(standing), word + &held),
            ordered(it.counts.values().sum::<usize>(), status::counts(&it.counts)),
        ];
        if look.is_wide() {
            let age = ordered(words::seconds(it.created_at, now), words::between(it.created_at, now));
            row.extend([it.rebuilds.into(), age]);
        }
        table.row(row);
    }
    table
}

/// Draws one deployment.
pub fn show(view: &DeploymentView, look: &Look) -> String {
    let mut out = status::headline(&view.status, look);
    out.push_str(&groups(&view.spec, look));
    if !view.spec.profiles.is_empty() {
        let profiles: Vec<&str> = view.spec.profiles.iter().map(rebar_model::ProfileName::as_str).collect();
        let _ = writeln!(out, "profiles  {}", profiles.join(", "));
    }
    match &view.applied {
        None => {
            let _ = writeln!(out, "\nnever applied: rebar plan {}", view.status.name);
        }
        Some(applied) if *applied != view.spec => {
            let _ = writeln!(out, "\nchanged since the last apply: rebar plan {}", view.status.name);
        }
        Some(_) => {}
    }
    out
}

fn groups(spec: &DeploymentSpec, look: &Look) -> String {
    let mut table = Table::new(look, &["GROUP", "NODES", ""]);
    for (group, nodes) in &spec.groups {
        let names = words::ranges(nodes.iter().map(rebar_model::NodeName::as_str));
        table.row(vec![group.into(), nodes.len().into(), names.into()]);
    }
    table.render()
}

/// Draws the accepted plans of a deployment.
pub fn history(revisions: &[RevisionView], now: Timestamp, look: &Look) -> Table {
    let mut table = Table::new(look, &["REVISION", "WORKLOAD", "CHANGED", "BY", "WHEN", ""]);
    for it in revisions {
        let mark = match (it.current, it.restores) {
            (true, Some(no)) => toned(Tone::Good, format!("current, as revision {no}")),
            (true, None) => toned(Tone::Good, "current"),
            (false, Some(no)) => toned(Tone::Quiet, format!("as revision {no}")),
            (false, None) => Text::from(" "),
        };
        table.row(vec![
            it.no.into(),
            (&it.workload.reference).into(),
            ordered(it.touched.len(), words::count(it.touched.len(), "node-role")),
            (&it.by).into(),
            ordered(words::seconds(it.at, now), words::ago(it.at, now)),
            mark,
        ]);
    }
    table
}

fn revision(no: RevisionNo) -> String {
    if no == RevisionNo(0) { "nothing".to_owned() } else { format!("revision {no}") }
}

/// Draws what differs between two revisions.
pub fn diff(diff: &RevisionDiff, look: &Look) -> String {
    let mut table = Table::new(look, &["WISH", "CHANGE"]);
    let mut row = |wish: String, change: String| table.row(vec![wish.into(), change.into()]);
    let turned = |before: &str, after: &str| format!("{before} {} {after}", look.arrow());
    if let Some(it) = &diff.workload {
        let before = it.before.as_ref().map_or("none", |it| &it.reference);
        row("workload".to_owned(), turned(before, &it.after.reference));
    }
    for (group, it) in &diff.groups {
        let came = |sign: &str, nodes: &[NodeName]| {
            let names = words::ranges(nodes.iter().map(NodeName::as_str));
            (!nodes.is_empty()).then(|| format!("{sign} {names}"))
        };
        let moved = it.reordered.then(|| "in another order".to_owned());
        let changes = [came("+", &it.added), came("-", &it.removed), moved];
        row(format!("group {group}"), changes.into_iter().flatten().collect::<Vec<_>>().join("  "));
    }
    if let Some(it) = &diff.profiles {
        let list = |names: &[ProfileName]| match names {
            [] => "none".to_owned(),
            names => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        row("profiles".to_owned(), turned(&list(&it.before), &list(&it.after)));
    }
    for (name, it) in &diff.parameters {
        let shown = |value: &Option<Value>| value.as_ref().map_or_else(|| "not set".to_owned(), |it| shown(it, look));
        row(format!("parameter {name}"), turned(&shown(&it.before), &shown(&it.after)));
    }
    let head = turned(&revision(diff.from), &revision(diff.to));
    let same =
        diff.workload.is_none() && diff.profiles.is_none() && diff.groups.is_empty() && diff.parameters.is_empty();
    if same { format!("{head}: the same is wished for\n") } else { format!("{head}\n\n{}", table.render()) }
}

/// Draws what a deployment offers.
pub fn outputs(outputs: &[OutputView], look: &Look) -> String {
    if outputs.is_empty() {
        return "this workload offers no outputs\n".to_owned();
    }
    let mut table = Table::new(look, &["OUTPUT", "VALUE", "FROM"]);
    for it in outputs {
        let value = match &it.value {
            None => toned(Tone::Quiet, "not known yet"),
            Some(value) => Text::from(shown(value, look)),
        };
        table.row(vec![(&it.name).into(), value, toned(Tone::Quiet, &it.origin)]);
    }
    table.render()
}

/// A value in a table: text without quotes, and its first line only.
fn shown(value: &Value, look: &Look) -> String {
    match value {
        Value::String(text) => match text.split_once('\n') {
            Some((first, rest)) if !rest.is_empty() => {
                format!("{first} {} ({} lines)", look.pick("…", "..."), text.lines().count())
            }
            _ => text.trim_end().to_owned(),
        },
        other => words::value(other, look),
    }
}
