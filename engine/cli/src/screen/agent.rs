//! Agents, their releases, and how far their upgrade is.

use std::fmt::Write as _;

use jiff::Timestamp;
use rebar_api::types::{AgentReleaseView, AgentStanding, AgentView, UpgradeView};

use super::{Look, Table, Text, Tone, ordered, toned, words};

/// Draws the last upgrade and all agents.
pub fn status(upgrade: Option<&UpgradeView>, agents: &[AgentView], now: Timestamp, look: &Look) -> String {
    let mut out = upgrade.map(|it| self::upgrade(it, now, look)).unwrap_or_default();
    if !out.is_empty() {
        out.push('\n');
    }
    out + &list(agents, look).render()
}

/// An upgrade that somebody should know of, in a line of its own; nothing about one that is over.
pub fn line(it: &UpgradeView, look: &Look) -> String {
    let (tone, what) = match (it.state.as_str(), &it.held_by) {
        ("running", _) => (Tone::Change, format!("{} of {}", it.upgraded, words::count(it.agents, "agent"))),
        ("held", Some(node)) => (Tone::Person, format!("held by {node}")),
        _ => return String::new(),
    };
    look.paint(tone, &format!("\nupgrade of the agents to {}: {what}: rebar agent status", it.version))
}

fn upgrade(it: &UpgradeView, now: Timestamp, look: &Look) -> String {
    let tone = match it.state.as_str() {
        "running" => Tone::Change,
        "held" => Tone::Bad,
        "done" => Tone::Good,
        _ => Tone::Quiet,
    };
    let mut out = format!(
        "{}  {}  {} of {}, {} under way\n",
        look.paint(Tone::Strong, &format!("upgrade to {}", it.version)),
        look.paint(tone, &it.state),
        it.upgraded,
        words::count(it.agents, "agent"),
        it.under_way,
    );
    let mut line = |key: &str, value: String| {
        let _ = writeln!(out, "  {}  {value}", look.paint(Tone::Quiet, &words::pad(key, 8)));
    };
    let code = it.code.as_ref().map(|it| format!(" (rebar help {it})")).unwrap_or_default();
    match (&it.held_by, &it.reason) {
        (Some(node), Some(reason)) => line("held by", format!("{node}: {reason}{code}")),
        (None, Some(reason)) => line("why", format!("{reason}{code}")),
        (_, None) => {}
    }
    let names: Vec<_> = it.first.iter().map(ToString::to_string).collect();
    if !names.is_empty() {
        line("first", names.join(", "));
    }
    line("started", format!("{} by {}", words::ago(it.started_at, now), it.by));
    out
}

fn list(agents: &[AgentView], look: &Look) -> Table {
    let mut table = Table::new(look, &["NODE", "AGENT", "STATE", "WHY"]).or("no agents: rebar node add NAME\n");
    for it in agents {
        let (word, tone) = standing(it.standing);
        let here = if it.here { toned(tone, word) } else { toned(Tone::Person, format!("{word}, away")) };
        table.row(vec![
            (&it.node).into(),
            it.version.as_ref().map(ToString::to_string).unwrap_or_default().into(),
            here,
            it.reason.clone().unwrap_or_default().into(),
        ]);
    }
    table
}

fn standing(standing: AgentStanding) -> (&'static str, Tone) {
    match standing {
        AgentStanding::Idle => ("idle", Tone::Quiet),
        AgentStanding::Waiting => ("waiting", Tone::Quiet),
        AgentStanding::Told => ("told", Tone::Change),
        AgentStanding::Watched => ("watched", Tone::Change),
        AgentStanding::Upgraded => ("upgraded", Tone::Good),
        AgentStanding::Failed => ("failed", Tone::Bad),
    }
}

/// Draws releases, a line a program.
pub fn releases(releases: &[AgentReleaseView], look: &Look) -> Table {
    let mut head = vec!["VERSION", "PLATFORM", "SIZE", "IMPORTED"];
    if look.is_wide() {
        head.extend(["SHA256", "KEY"]);
    }
    let mut table = Table::new(look, &head).or("no releases: rebar agent release import FILE\n");
    for (release, build) in releases.iter().flat_map(|it| it.builds.iter().map(move |build| (it, build))) {
        let mut row: Vec<Text> = vec![
            (&release.version).into(),
            (&build.platform).into(),
            ordered(build.size, format!("{}.{} MB", build.size / 1_000_000, build.size / 100_000 % 10)),
            words::moment(build.imported_at).into(),
        ];
        if look.is_wide() {
            row.extend([Text::from(build.sha256), Text::from(build.key)]);
        }
        table.row(row);
    }
    table
}
