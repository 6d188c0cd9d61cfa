//! Diagnostics as people read them: the message, the place, the source line with a mark under it, and what to do. Plain text;
//! colour is the terminal's business.

use std::fmt::Write as _;

use crate::{Diagnostic, Package, Place, Severity, yaml};

/// The widest source line that is shown, in characters.
const MAX_WIDTH: usize = 120;

/// Draws one diagnostic.
pub fn render(diagnostic: &Diagnostic, package: &Package) -> String {
    let level = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut out = format!("{level}[{}]: {}\n", diagnostic.code, diagnostic.message);
    let places = std::iter::once(&diagnostic.place).chain(diagnostic.notes.iter().map(|it| &it.place));
    let width = places.map(|it| it.line.to_string().len()).max().unwrap_or(1);
    frame(&mut out, package, &diagnostic.place, diagnostic.label.as_deref(), width);
    for note in &diagnostic.notes {
        frame(&mut out, package, &note.place, Some(&note.text), width);
    }
    let pad = " ".repeat(width);
    if let Some(help) = &diagnostic.help {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{pad} = help: {help}");
    }
    let _ = writeln!(out, "{pad} = docs: rebar help {}", diagnostic.code);
    out
}

/// A source line with a mark under it.
fn frame(out: &mut String, package: &Package, place: &Place, label: Option<&str>, width: usize) {
    let pad = " ".repeat(width);
    let _ = writeln!(out, "{pad} ┌─ {}:{}:{}", place.file, place.line, place.column);
    let text = package.get(&place.file).and_then(|it| std::str::from_utf8(&it.bytes).ok()).unwrap_or_default();
    let line = yaml::line(text, place.line);
    if line.is_empty() && label.is_none() {
        return;
    }
    let (shown, column) = cut(line, place.column);
    let marks = "^".repeat(place.length.clamp(1, shown.chars().count().saturating_sub(column - 1).max(1)));
    let _ = writeln!(out, "{:>width$} │ {shown}", place.line);
    let under = format!("{pad} │ {}{marks} {}", " ".repeat(column - 1), label.unwrap_or_default());
    let _ = writeln!(out, "{}", under.trim_end());
}

/// The part of a line around a column, with tabs and control characters as single spaces so that the mark stands right.
fn cut(line: &str, column: usize) -> (String, usize) {
    let clean: Vec<char> = line.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    let column = column.clamp(1, clean.len() + 1);
    if clean.len() <= MAX_WIDTH {
        return (clean.into_iter().collect(), column);
    }
    let start = (column - 1).saturating_sub(MAX_WIDTH / 3).min(clean.len() - MAX_WIDTH);
    let mut shown: String = clean[start..start + MAX_WIDTH].iter().collect();
    let mut column = column - start;
    if start > 0 {
        shown.insert(0, '…');
        column += 1;
    }
    if start + MAX_WIDTH < clean.len() {
        shown.push('…');
    }
    (shown, column)
}
