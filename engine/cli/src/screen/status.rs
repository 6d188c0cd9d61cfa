//! How a deployment stands: a line a role with counts, and everything that is not active with its reason. Roles of low importance
//! share a line while nothing is wrong with them.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use rebar_api::types::{DeploymentStatus, NodeRoleView};
use rebar_model::{Importance, Mode, RoleName, Standing};

use super::{Look, Table, Text, Tone, tone, toned, words};

/// The most node-roles that are shown which are not active, unless more detail was asked for.
const MAX_ROWS: usize = 30;

/// Draws how a deployment stands.
pub fn render(status: &DeploymentStatus, look: &Look) -> String {
    let mut out = headline(status, look);
    out.push('\n');
    out.push_str(&roles(status, look));
    let shown: Vec<&NodeRoleView> = status
        .node_roles
        .iter()
        .filter(|it| {
            let telling = it.why.is_some() && it.importance != Importance::Low;
            look.is_wide() || it.standing != Standing::Active || telling
        })
        .collect();
    if !shown.is_empty() {
        out.push('\n');
        out.push_str(&rows(&shown, status.at, look));
    }
    out
}

/// One line: name, workload, revision, state, counts.
pub fn headline(status: &DeploymentStatus, look: &Look) -> String {
    let mut out = format!(
        "{}  {}  revision {}  {}  {}\n",
        look.paint(Tone::Strong, status.name.as_str()),
        status.workload.reference,
        status.revision,
        state(status, look),
        counts(&status.counts)
    );
    if let Some(why) = &status.breaker.why {
        let _ = writeln!(out, "{}", look.paint(Tone::Bad, &format!("breaker open: {why}")));
    }
    if let Some(reason) = &status.paused {
        let _ = writeln!(out, "{}", look.paint(Tone::Change, &format!("held: {reason}")));
    }
    out
}

/// The word for a deployment.
pub fn state(status: &DeploymentStatus, look: &Look) -> String {
    let (standing, word) = overall(Overall {
        mode: status.mode,
        applied: status.revision.0 > 0,
        active: status.active,
        settled: status.settled,
        person: status.needs_person,
        failed: status.counts.get(&Standing::Failed).copied().unwrap_or(0) > 0,
    });
    let text = if look.ascii { word.to_owned() } else { format!("{} {word}", look.glyph(standing)) };
    look.paint(tone(standing), &text)
}

/// What a deployment's word is made of.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "these are independent facts, as the API tells them")]
pub struct Overall {
    /// What the engine is doing with it.
    pub mode: Mode,
    /// A plan was accepted.
    pub applied: bool,
    /// Everything is active.
    pub active: bool,
    /// Nothing runs, and nothing will by itself.
    pub settled: bool,
    /// A person has to act.
    pub person: bool,
    /// Something failed.
    pub failed: bool,
}

/// The standing whose sign and colour a deployment has, and its word.
pub fn overall(standing: Overall) -> (Standing, &'static str) {
    let Overall { mode, applied, active, settled, person, failed } = standing;
    match mode {
        _ if !applied => (Standing::Proposed, "not applied"),
        Mode::Rebuilding if !settled => (Standing::Undoing, "rebuilding"),
        Mode::Destroying if !settled => (Standing::Undoing, "destroying"),
        _ if active => (Standing::Active, "active"),
        _ if failed => (Standing::Failed, "failed"),
        _ if person => (Standing::Blocked, "needs a person"),
        _ if settled => (Standing::Waiting, "settled"),
        _ => (Standing::Running, "converging"),
    }
}

/// `12 active, 1 failed`.
pub fn counts(counts: &BTreeMap<Standing, usize>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .filter(|(_, number)| **number > 0)
        .map(|(standing, number)| format!("{number} {}", standing.word()))
        .collect();
    if parts.is_empty() { "no node-roles".to_owned() } else { parts.join(", ") }
}

/// A role with its node-roles.
pub type Role<'a> = (&'a RoleName, Vec<&'a NodeRoleView>);

/// The roles that have a line of their own, and those that share one: of low importance, and done.
pub fn fold<'a>(status: &'a DeploymentStatus, look: &Look) -> (Vec<Role<'a>>, Vec<Role<'a>>) {
    let done = if status.mode == Mode::Converging { Standing::Active } else { Standing::Removed };
    let small = |it: &NodeRoleView| it.importance == Importance::Low && !it.milestone && it.standing == done;
    let (shown, folded): (Vec<_>, Vec<_>) =
        by_role(status).into_iter().partition(|(_, rows)| look.is_wide() || !rows.iter().all(|it| small(it)));
    // One alone would lose its name and win no room.
    if folded.len() > 1 { (shown, folded) } else { (by_role(status), Vec::new()) }
}

/// The name of the line that folded roles share.
pub fn folded_name(roles: usize) -> String {
    format!("+{roles} of low importance")
}

/// The node-roles of each role, in the order of the graph.
fn by_role(status: &DeploymentStatus) -> Vec<Role<'_>> {
    let mut roles: Vec<Role<'_>> = Vec::new();
    for row in &status.node_roles {
        match roles.iter_mut().find(|(role, _)| **role == row.role) {
            Some((_, rows)) => rows.push(row),
            None => roles.push((&row.role, vec![row])),
        }
    }
    roles
}

fn roles(status: &DeploymentStatus, look: &Look) -> String {
    let mut table = Table::new(look, &["ROLE", "DONE", "STATES"]);
    let (shown, folded) = fold(status, look);
    for (role, rows) in shown {
        let mut states: BTreeMap<Standing, usize> = BTreeMap::new();
        for row in &rows {
            *states.entry(row.standing).or_default() += 1;
        }
        let done = states.get(&Standing::Active).copied().unwrap_or(0);
        let worst = [
            Standing::Failed,
            Standing::Blocked,
            Standing::Held,
            Standing::Running,
            Standing::Undoing,
            Standing::Stale,
        ]
        .into_iter()
        .find(|it| states.contains_key(it));
        let states = match worst {
            Some(worst) => toned(tone(worst), counts(&states)),
            None if done == rows.len() => toned(Tone::Good, counts(&states)),
            None => toned(Tone::Quiet, counts(&states)),
        };
        let role = if rows.iter().any(|it| it.milestone) { toned(Tone::Strong, role) } else { Text::from(role) };
        table.row(vec![role, format!("{done}/{}", rows.len()).into(), states]);
    }
    if let Some(row) = folded.iter().flat_map(|(_, rows)| rows).next() {
        let number: usize = folded.iter().map(|(_, rows)| rows.len()).sum();
        let states = format!("{number} {} (-o wide shows them)", row.standing.word());
        table.row(
            [folded_name(folded.len()), format!("{number}/{number}"), states].map(|it| toned(Tone::Quiet, it)).into(),
        );
    }
    table.render()
}

/// Node-roles with their reasons.
fn rows(rows: &[&NodeRoleView], now: Timestamp, look: &Look) -> String {
    let mut table = Table::new(look, &["NODE-ROLE", "STATE", "FOR", "TRIES", "WHY"]);
    let most = if look.is_wide() { usize::MAX } else { MAX_ROWS };
    for row in rows.iter().take(most) {
        table.row(vec![
            (&row.address).into(),
            toned(tone(row.standing), format!("{}{}", signed(row, look), phase(row))),
            row.since.map(|it| words::between(it, now)).unwrap_or_default().into(),
            if row.attempts == 0 { Text::from("") } else { row.attempts.into() },
            row.why.clone().unwrap_or_default().into(),
        ]);
    }
    let mut out = table.render();
    if rows.len() > most {
        let _ = writeln!(out, "{} and {} more (-o wide shows them)", look.pick("…", "..."), rows.len() - most);
    }
    out
}

/// The sign and the word, or the word alone where the sign is a word.
fn signed(row: &NodeRoleView, look: &Look) -> String {
    if look.ascii {
        row.standing.word().to_owned()
    } else {
        format!("{} {}", look.glyph(row.standing), row.standing.word())
    }
}

/// The phase of what runs.
fn phase(row: &NodeRoleView) -> String {
    let phase = row.progress.as_ref().and_then(|it| it.phase);
    phase.map(|it| format!(" {it}")).unwrap_or_default()
}
