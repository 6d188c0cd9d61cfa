//! How a failure looks: what happened, every single mistake, one fix, one page. A refusal of the engine and trouble of the client
//! itself look the same.

use std::fmt::Write as _;

use rebar_api::types::ProblemItem;

use super::{Look, Tone, words};
use crate::failure::Failure;

/// The most single mistakes that are shown.
const MAX_ITEMS: usize = 20;

/// Draws a failure.
pub fn render(failure: &Failure, look: &Look) -> String {
    let mut out = head(look, "error", failure.code.as_deref(), &failure.message);
    for item in failure.items.iter().take(MAX_ITEMS) {
        out.push_str(&self::item(item, look));
    }
    if let Some(more) = failure.items.len().checked_sub(MAX_ITEMS).filter(|it| *it > 0) {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "  {} and {more} more", look.pick("…", "..."));
    }
    if let Some(fix) = &failure.fix {
        let _ = writeln!(out, "  {} {fix}", look.paint(Tone::Strong, "fix:"));
    }
    if let Some(code) = &failure.code {
        let _ = writeln!(out, "  {} rebar help {code}", look.paint(Tone::Quiet, "docs:"));
    }
    out
}

fn head(look: &Look, level: &str, code: Option<&str>, message: &str) -> String {
    let level = match code {
        Some(code) => format!("{level}[{code}]:"),
        None => format!("{level}:"),
    };
    let tone = if level.starts_with("error") { Tone::Bad } else { Tone::Change };
    format!("{} {message}\n", look.paint(tone, &level))
}

/// One mistake of several, with its place where it has one.
fn item(item: &ProblemItem, look: &Look) -> String {
    let sign = look.paint(if item.severity == "warning" { Tone::Change } else { Tone::Bad }, look.pick("•", "*"));
    let place = match (&item.file, item.line, item.column) {
        (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}: "),
        (Some(file), Some(line), None) => format!("{file}:{line}: "),
        (Some(file), ..) => format!("{file}: "),
        _ => String::new(),
    };
    let code = if item.code.is_empty() { String::new() } else { format!("[{}] ", item.code) };
    let label = item.label.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
    let mut out = format!("  {sign} {code}{place}{}{label}\n", item.message);
    if let Some(help) = &item.help {
        let _ = writeln!(out, "    {} {help}", look.paint(Tone::Quiet, "help:"));
    }
    out
}

/// How many mistakes and warnings there are, in words.
pub fn tally(errors: usize, warnings: usize) -> String {
    match (errors, warnings) {
        (0, 0) => "nothing to complain about".to_owned(),
        (0, warnings) => words::count(warnings, "warning"),
        (errors, 0) => words::count(errors, "error"),
        (errors, warnings) => format!("{}, {}", words::count(errors, "error"), words::count(warnings, "warning")),
    }
}
