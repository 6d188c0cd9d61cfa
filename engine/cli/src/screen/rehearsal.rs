//! What a rehearsal came to: how everything stands, how long it is to take and why, which roles are slow, and what the faults did.

use std::fmt::Write as _;

use rebar_api::types::{DeploymentStatus, ExplainView};
use rebar_model::Span;
use rebar_rehearsal::{Basis, FaultReport, Link, Report, RoleReport, Scenario, Step, quantile};
use serde::Serialize;

use super::{Look, Table, Text, Tone, explain, ordered, status, toned, words};

/// The most roles that are shown, unless more detail was asked for.
const MAX_ROLES: usize = 8;
/// The most rows of the critical path, unless more detail was asked for.
const MAX_STEPS: usize = 20;

/// One run in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// What its chance followed from.
    pub seed: u64,
    /// How long it took.
    pub seconds: f64,
    /// How many attempts failed.
    pub failed: usize,
    /// How many node-roles were not active at the end.
    pub open: usize,
}

impl Run {
    /// A run in short.
    pub fn of(report: &Report) -> Self {
        Self {
            seed: report.seed,
            seconds: report.took.as_duration().as_secs_f64(),
            failed: report.totals.failed,
            open: report.totals.open,
        }
    }
}

/// What is told of a rehearsal.
#[derive(Debug, Serialize)]
pub struct Picture {
    /// What came of the run that was shown.
    #[serde(flatten)]
    pub report: Report,
    /// The same without its faults, where it had any.
    pub calm: Option<Run>,
    /// All runs, the one that was shown first.
    pub runs: Vec<Run>,
    /// What was taken as given.
    pub notes: Vec<String>,
    /// How everything stood at the end.
    pub status: DeploymentStatus,
    /// Why not everything is active.
    pub explanation: Option<ExplainView>,
}

/// What is said before it begins.
pub fn announce(scenario: &Scenario, notes: &[String]) -> String {
    let mut out = format!(
        "rehearsing {} on {}, seed {}\n",
        scenario.workload.reference(),
        words::count(scenario.nodes.len(), "simulated node"),
        scenario.seed
    );
    for note in notes {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// Draws what a rehearsal came to.
pub fn render(picture: &Picture, look: &Look) -> String {
    let report = &picture.report;
    let mut out = status::render(&picture.status, look);
    if let Some(view) = &picture.explanation {
        let _ = write!(out, "\n{}", explain::render(view, picture.status.at, look));
    }
    let _ = write!(out, "\n{}", summary(picture, look));
    if !report.faults.is_empty() {
        let _ = write!(out, "\n{}", faults(&report.faults, look));
    }
    let _ = write!(out, "\n{}", path(&report.critical_path, look));
    let _ = write!(out, "\n{}", roles(&report.roles, look));
    out
}

fn summary(picture: &Picture, look: &Look) -> String {
    let Picture { report, calm, runs, .. } = picture;
    let totals = &report.totals;
    let (sign, tone, what) = if totals.open == 0 {
        (look.pick("✓", "ok"), Tone::Good, "becomes active")
    } else {
        (look.pick("✗", "FAIL"), Tone::Bad, "does not become active")
    };
    let active = totals.node_roles - totals.open;
    let mut out = format!(
        "{} {active} of {} on {}\n",
        look.paint(tone, &format!("{sign} {} {what}:", report.deployment)),
        words::count(totals.node_roles, "node-role"),
        words::count(report.nodes, "node")
    );
    let mut line = |label: &str, text: String| {
        let _ = writeln!(out, "  {}  {text}", look.paint(Tone::Quiet, &words::pad(label, 8)));
    };
    line(if totals.open == 0 { "takes" } else { "ends" }, length(report.took));
    if runs.len() > 1 {
        line("runs", spread(runs));
    }
    if let Some(calm) = calm {
        line("calm", cost(report, calm));
    }
    let recovered = words::count(totals.recovered, "node-role");
    let failed = match totals.failed {
        0 => String::new(),
        failed => format!(", {failed} failed; {recovered} recovered by themselves"),
    };
    line("attempts", format!("{}{failed}", totals.attempts));
    line(
        "widest",
        format!("{} at once, {} in", words::count(report.widest.attempts, "attempt"), length(report.widest.at)),
    );
    line("lengths", basis(&report.roles));
    line("again", format!("--seed {} rehearses the very same", report.seed));
    out
}

/// What the faults cost, against the run without them.
fn cost(report: &Report, calm: &Run) -> String {
    let more = report.took.as_duration().as_secs_f64() - calm.seconds;
    let without = format!("{} without the faults", short(calm.seconds));
    match (calm.open, report.totals.open) {
        (0, 0) if more < 1.0 => format!("{without}, which cost no time"),
        (0, 0) => format!("{without}, which cost {}", short(more)),
        (0, _) => format!("{without}, and everything is active then"),
        (open, _) => format!("{without}, and {} left open then too", words::count(open, "node-role")),
    }
}

/// How sure the length is.
fn spread(runs: &[Run]) -> String {
    let mut lengths: Vec<f64> = runs.iter().map(|it| it.seconds).collect();
    lengths.sort_by(f64::total_cmp);
    let at = |percent| short(quantile(&lengths, percent));
    let well = runs.iter().filter(|it| it.open == 0).count();
    format!("{}: half took {} or less, 19 of 20 {} or less; {well} ended well", runs.len(), at(50), at(95))
}

/// Where the lengths of attempts are known from.
fn basis(roles: &[RoleReport]) -> String {
    let count = |wanted: fn(Basis) -> bool| roles.iter().filter(|it| wanted(it.basis)).count();
    let parts = [
        (count(|it| matches!(it, Basis::History { .. })), "from history"),
        (count(|it| it == Basis::Given), "given"),
        (count(|it| it == Basis::Assumed), "assumed"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, how)| format!("{how} for {}", words::count(*count, "role")))
        .collect();
    parts.join(", ")
}

fn faults(faults: &[FaultReport], look: &Look) -> String {
    let mut table = Table::new(look, &["FAULT", "NODES", "ATTEMPTS", "RECOVERED", "LEFT OPEN"]);
    let number = |number: usize| if number == 0 { Text::from("") } else { number.into() };
    for it in faults {
        let fault =
            if it.happened { it.fault.clone() } else { format!("{} (did not happen: all was at rest)", it.fault) };
        let open = if it.open == 0 { Text::from("") } else { toned(Tone::Bad, it.open) };
        table.row(vec![fault.into(), number(it.nodes), number(it.attempts), number(it.recovered), open]);
    }
    look.paint(Tone::Strong, "what the faults did") + "\n" + &table.render()
}

/// Steps of one role in a row.
struct Stretch<'a> {
    steps: Vec<&'a Step>,
}

fn path(steps: &[Step], look: &Look) -> String {
    let mut stretches: Vec<Stretch<'_>> = Vec::new();
    for step in steps {
        match stretches.last_mut() {
            Some(last) if last.steps[0].node_role.role == step.node_role.role => last.steps.push(step),
            _ => stretches.push(Stretch { steps: vec![step] }),
        }
    }
    let mut table = Table::new(look, &["CRITICAL PATH", "BEGINS", "TAKES", "AFTER"]);
    let most = if look.is_wide() { usize::MAX } else { MAX_STEPS };
    for stretch in stretches.iter().take(most) {
        let first = stretch.steps[0];
        let place = match stretch.steps.len() {
            1 => first.node_role.local(),
            number => format!("{} {}{number}", first.node_role.role, look.pick("×", "x")),
        };
        let took = stretch.steps.iter().fold(Span::default(), |sum, it| sum.plus(it.took));
        let waited = stretch.steps.iter().fold(Span::default(), |sum, it| sum.plus(it.waited));
        let link = match first.link {
            Link::Start => "",
            Link::Requirement => "what it requires",
            Link::Retry => "an attempt that failed",
            Link::Lock => "the lock on its node",
            Link::Slot => "a free slot of its role",
        };
        let waits = if waited.as_millis() < 1_000 { String::new() } else { format!(", {} later", length(waited)) };
        table.row(vec![
            place.into(),
            length(first.begins).into(),
            length(took).into(),
            format!("{link}{waits}").into(),
        ]);
    }
    let mut out = table.render();
    if stretches.len() > most {
        let _ = writeln!(out, "{} and {} more (-v shows them)", look.pick("…", "..."), stretches.len() - most);
    }
    out
}

fn roles(roles: &[RoleReport], look: &Look) -> String {
    let mut table = Table::new(look, &["SLOWEST ROLES", "ATTEMPTS", "HALF", "19 OF 20", "IN ALL", "KNOWN"]);
    let most = if look.is_wide() { usize::MAX } else { MAX_ROLES };
    for it in roles.iter().take(most) {
        let known = match it.basis {
            Basis::History { attempts } => format!("from {}", words::count(attempts, "attempt")),
            Basis::Given => "given".to_owned(),
            Basis::Assumed => "assumed".to_owned(),
        };
        table.row(vec![
            (&it.role).into(),
            it.attempts.into(),
            span(it.median),
            span(it.p95),
            span(it.total),
            toned(Tone::Quiet, known),
        ]);
    }
    let mut out = table.render();
    if roles.len() > most {
        let _ = writeln!(out, "{} and {} more (-v shows them)", look.pick("…", "..."), roles.len() - most);
    }
    out
}

fn span(span: Span) -> Text {
    ordered(i64::try_from(span.as_millis()).unwrap_or(i64::MAX), length(span))
}

fn length(span: Span) -> String {
    short(span.as_duration().as_secs_f64())
}

/// A length of time; short ones with a digit behind the point.
fn short(seconds: f64) -> String {
    if seconds > 0.0 && seconds < 10.0 {
        return format!("{seconds:.1}s");
    }
    #[expect(clippy::cast_possible_truncation, reason = "a length of time in seconds is far from the limits of i64")]
    let whole = seconds.round() as i64;
    words::duration(whole)
}
