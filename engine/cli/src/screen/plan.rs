//! The plan: a line a role and action, with the nodes and the reasons; addresses and counts at the bottom, what wipes data in red,
//! and the line to apply it with.

use std::{collections::BTreeMap, fmt::Write as _};

use rebar_api::types::{PlanStepView, PlanView};
use rebar_model::{Action, Difference, RoleName};

use super::{Look, Tone, words};

/// How many digits of a plan's id are shown and typed.
pub const SHORT_ID: usize = 12;
/// The most reasons that are shown of one role.
const MAX_REASONS: usize = 6;

/// The steps of one role with one action.
struct Part<'a> {
    role: &'a RoleName,
    action: Action,
    steps: Vec<&'a PlanStepView>,
}

/// What a plan's id looks like where people read it.
pub fn short_id(plan: &PlanView) -> String {
    plan.id.to_string().chars().take(SHORT_ID).collect()
}

/// Draws a plan, with the line to apply it with.
pub fn render(plan: &PlanView, flags: &str, look: &Look) -> String {
    let mut out = draft(plan, look);
    if plan.changes || plan.rewishes {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "Apply  rebar apply {}{flags} --plan {}", plan.deployment, short_id(plan));
    }
    out
}

/// Draws a plan that nobody can apply: the one of a rehearsal.
pub fn draft(plan: &PlanView, look: &Look) -> String {
    // Only a plan that changes something, be it what is wished for, makes a revision.
    let next =
        if plan.changes || plan.rewishes { format!(" {} {}", look.arrow(), plan.base.next()) } else { String::new() };
    let mut out = format!(
        "{}  {}  {}  revision {}{next}\n\n",
        look.paint(Tone::Strong, &format!("plan {}", short_id(plan))),
        plan.deployment,
        plan.workload.reference,
        plan.base,
    );
    let parts = parts(plan);
    let width = parts.iter().map(|it| it.role.as_str().len()).max().unwrap_or(0);
    for part in parts.iter().filter(|it| it.action != Action::Keep) {
        out.push_str(&self::part(part, width, look));
    }
    let kept = plan.counts.get(&Action::Keep).copied().unwrap_or(0);
    if kept > 0 {
        let _ =
            writeln!(out, "  {}", look.paint(Tone::Quiet, &format!("= {} untouched", words::count(kept, "node-role"))));
    }
    if look.is_wide() {
        for part in parts.iter().filter(|it| it.action == Action::Keep) {
            let text = format!("    {}  {}", words::pad(part.role.as_str(), width), nodes(part));
            let _ = writeln!(out, "{}", look.paint(Tone::Quiet, text.trim_end()));
        }
    }
    out.push_str(&destructive(plan, look));
    out.push_str(&protected(plan, look));
    out.push('\n');
    out.push_str(&bottom(plan, &parts, look));
    out
}

/// Steps of one role and one action together, in the order in which they could run.
fn parts(plan: &PlanView) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut places: BTreeMap<(&RoleName, Action), usize> = BTreeMap::new();
    for step in &plan.steps {
        let place = *places.entry((&step.role, step.action)).or_insert_with(|| {
            parts.push(Part { role: &step.role, action: step.action, steps: Vec::new() });
            parts.len() - 1
        });
        parts[place].steps.push(step);
    }
    parts
}

fn part(part: &Part<'_>, width: usize, look: &Look) -> String {
    let wipes = part.steps.iter().any(|it| it.destructive);
    let tone = match part.action {
        _ if wipes => Tone::Bad,
        Action::Create => Tone::Good,
        Action::Change => Tone::Change,
        Action::Maybe | Action::Keep => Tone::Quiet,
        Action::Retire | Action::Forget => Tone::Bad,
    };
    let number = match part.steps.len() {
        1 => String::new(),
        number => format!("{}{number}", look.pick("×", "x")),
    };
    let place = nodes(part);
    let place = if place.is_empty() { look.paint(Tone::Quiet, "on the deployment") } else { place };
    let sign = look.paint(tone, look.action(part.action));
    let role = look.paint(tone, &words::pad(part.role.as_str(), width));
    let wipes = if wipes { format!("  {}", look.paint(Tone::Bad, "wipes data")) } else { String::new() };
    let mut out = format!("  {sign} {role}  {}{place}{wipes}\n", words::pad(&number, 5));
    for line in reasons(part, look) {
        let _ = writeln!(out, "      {}", look.paint(Tone::Quiet, &line));
    }
    out
}

fn nodes(part: &Part<'_>) -> String {
    words::ranges(part.steps.iter().filter_map(|it| it.node.as_ref()).map(rebar_model::NodeName::as_str))
}

/// Why, each reason once; with the nodes where it does not hold for all.
fn reasons(part: &Part<'_>, look: &Look) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<&PlanStepView>)> = Vec::new();
    for step in &part.steps {
        for text in told(step, look) {
            match reasons.iter_mut().find(|(known, _)| *known == text) {
                Some((_, steps)) => steps.push(step),
                None => reasons.push((text, vec![step])),
            }
        }
    }
    let more = reasons.len().saturating_sub(MAX_REASONS);
    let most = if look.is_wide() { usize::MAX } else { MAX_REASONS };
    let mut lines: Vec<String> = reasons
        .into_iter()
        .take(most)
        .map(|(text, steps)| {
            if steps.len() == part.steps.len() {
                return text;
            }
            let nodes =
                words::ranges(steps.iter().filter_map(|it| it.node.as_ref()).map(rebar_model::NodeName::as_str));
            format!("{text}  ({nodes})")
        })
        .collect();
    if more > 0 && !look.is_wide() {
        lines.push(format!("{} and {more} more (-v shows them)", look.pick("…", "...")));
    }
    lines
}

/// What is said about one step.
fn told(step: &PlanStepView, look: &Look) -> Vec<String> {
    let differences: Vec<String> = step.differences.iter().map(|it| difference(it, look)).collect();
    match (differences.is_empty(), step.action) {
        // A new role is new: there is nothing to compare it with.
        (true, Action::Create | Action::Retire | Action::Keep) if !look.is_wide() => Vec::new(),
        (true, _) => step.why.clone(),
        (false, _) => differences,
    }
}

/// One difference: what, before and after, and where the new value comes from.
fn difference(difference: &Difference, look: &Look) -> String {
    let show = |value: &Option<serde_json::Value>| value.as_ref().map(|it| words::value(it, look));
    let mut out = difference.what.clone();
    match (show(&difference.before), show(&difference.after)) {
        (Some(before), Some(after)) => {
            let _ = write!(out, "  {before} {} {after}", look.arrow());
        }
        (None, Some(after)) => {
            let _ = write!(out, "  {after}");
        }
        (Some(before), None) => {
            let _ = write!(out, "  was {before}");
        }
        (None, None) => {}
    }
    if let Some(origin) = &difference.origin {
        let _ = write!(out, "  ({origin})");
    }
    out
}

fn destructive(plan: &PlanView, look: &Look) -> String {
    if plan.destructive.is_empty() {
        return String::new();
    }
    let roles: Vec<&str> = plan.destructive.iter().map(RoleName::as_str).collect();
    let grants: Vec<String> = roles.iter().map(|it| format!("--grant {it}")).collect();
    let text = format!("these roles wipe data and have to be granted: {}", grants.join(" "));
    format!("\n  {}\n", look.paint(Tone::Bad, &text))
}

fn protected(plan: &PlanView, look: &Look) -> String {
    if plan.protected.is_empty() {
        return String::new();
    }
    let roles: Vec<&str> = plan.protected.iter().map(RoleName::as_str).collect();
    let text =
        format!("these roles are protected, and what they keep may be lost: --allow-protected {}", roles.join(","));
    format!("\n  {}\n", look.paint(Tone::Bad, &text))
}

fn bottom(plan: &PlanView, parts: &[Part<'_>], look: &Look) -> String {
    if !plan.changes && plan.rewishes {
        return format!("{}: what is wished for changes, and nothing that runs\n", plan.deployment);
    }
    if !plan.changes {
        return format!("{} is up to date at revision {}: nothing changes\n", plan.deployment, plan.base);
    }
    let count = |action: Action| plan.counts.get(&action).copied().unwrap_or(0);
    let words = [
        (Action::Create, "create"),
        (Action::Change, "change"),
        (Action::Maybe, "maybe"),
        (Action::Retire, "retire"),
        (Action::Forget, "forget"),
        (Action::Keep, "untouched"),
    ];
    let counts: Vec<String> =
        words.iter().filter(|it| count(it.0) > 0).map(|(action, word)| format!("{} {word}", count(*action))).collect();
    let addresses: Vec<String> = parts
        .iter()
        .filter(|it| !matches!(it.action, Action::Keep | Action::Maybe))
        .map(|it| address(plan, it))
        .collect();
    let mut out = format!("{}:", look.paint(Tone::Strong, &counts.join(", ")));
    let mut column = words::columns(&out);
    for address in addresses {
        if column + 2 + address.len() > look.width {
            out.push_str("\n ");
            column = 1;
        }
        column += 2 + address.len();
        let _ = write!(out, "  {address}");
    }
    out.push('\n');
    out
}

/// The addresses of a part, to copy: `docker-engine@n{1..3}`.
fn address(plan: &PlanView, part: &Part<'_>) -> String {
    let nodes = nodes(part);
    match nodes.as_str() {
        "" => format!("{}@{}", part.role, plan.deployment),
        one if !one.contains(", ") => format!("{}@{one}", part.role),
        several => format!("{}@{{{}}}", part.role, several.replace(", ", ",")),
    }
}
