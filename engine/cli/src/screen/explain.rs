//! Why something is not done: the causes with what each holds back, the last lines of the log, who must act and what to try.

use std::fmt::Write as _;

use jiff::Timestamp;
use rebar_api::types::{Cause, ExplainView};
use rebar_model::{NodeRoleId, WhoActs};

use super::{Look, Tone, words};

/// The most log lines that are shown of one cause, unless more detail was asked for.
const MAX_LOG: usize = 10;

/// Draws an explanation.
pub fn render(view: &ExplainView, now: Timestamp, look: &Look) -> String {
    let mut out = String::new();
    let standing = view.standing.map(|it| format!("  {}", look.standing(it))).unwrap_or_default();
    let headline = without(&view.headline, &view.subject);
    let _ = writeln!(out, "{}{standing}  {headline}", look.paint(Tone::Strong, &view.subject));
    for cause in &view.causes {
        out.push('\n');
        out.push_str(&self::cause(cause, now, look));
    }
    if view.more > 0 {
        let _ = writeln!(out, "\n{} and {}", look.pick("…", "..."), words::count(view.more, "more cause"));
    }
    let _ = writeln!(out, "\n{}  {}", look.paint(Tone::Quiet, "Who acts"), who(view.who, look));
    let mut next: Vec<&String> = Vec::new();
    for command in view.causes.iter().flat_map(|it| &it.next) {
        if !next.contains(&command) {
            next.push(command);
        }
    }
    for (number, command) in next.iter().enumerate() {
        let label = if number == 0 { look.paint(Tone::Quiet, "Try     ") } else { " ".repeat(8) };
        let _ = writeln!(out, "{label}  {command}");
    }
    out
}

fn cause(cause: &Cause, now: Timestamp, look: &Look) -> String {
    let since = cause.since.map(|it| format!(", {}", words::ago(it, now))).unwrap_or_default();
    let mut out = format!(
        "{}  {}{}\n",
        look.paint(super::tone(cause.standing), look.glyph(cause.standing)),
        addresses(&cause.node_roles, cause.count, look),
        look.paint(Tone::Quiet, &since)
    );
    let bar = look.pick("│", "|");
    let _ = writeln!(out, "{bar}  {}", text(cause));
    let most = if look.is_wide() { usize::MAX } else { MAX_LOG };
    for line in &cause.log[cause.log.len().saturating_sub(most)..] {
        let _ = writeln!(out, "{bar}    {}", look.paint(Tone::Quiet, line));
    }
    if cause.holds_back_count > 0 {
        let held = addresses(&cause.holds_back, cause.holds_back_count, look);
        let corner = look.pick("└", "`-");
        let _ = writeln!(out, "{corner} holds back {}: {held}", cause.holds_back_count);
    }
    out
}

/// What happened, without the address that stands above it.
pub fn text(cause: &Cause) -> &str {
    cause.node_roles.first().map_or(&cause.text, |it| without(&cause.text, &it.local()))
}

/// A line without the subject that it begins with.
fn without<'a>(line: &'a str, subject: &str) -> &'a str {
    line.strip_prefix(subject).and_then(|it| it.strip_prefix(": ")).unwrap_or(line)
}

/// Addresses in their deployment; how many more there are.
fn addresses(ids: &[NodeRoleId], count: usize, look: &Look) -> String {
    let most = if look.is_wide() { ids.len() } else { 6 };
    let mut text = ids.iter().take(most).map(NodeRoleId::local).collect::<Vec<_>>().join(", ");
    let shown = ids.len().min(most);
    if count > shown {
        let _ = write!(text, " {} and {} more", look.pick("…", "..."), count - shown);
    }
    text
}

fn who(who: WhoActs, look: &Look) -> String {
    match who {
        WhoActs::You => look.paint(Tone::Person, "you"),
        WhoActs::Rebar => "Rebar, by itself".to_owned(),
        WhoActs::Nobody => "nobody: it is done".to_owned(),
    }
}
