//! What the linter says: where, what, why not, and what to do. Drawing it for people is `render.rs`.

use serde::Serialize;

use crate::Code;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The package is refused.
    Error,
    /// The package works; the author wants to know.
    Warning,
}

/// A place in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The path inside the package.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters it covers, at least 1.
    pub length: usize,
}

/// Another place that belongs to a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What is there.
    pub text: String,
}

/// One mistake, or one piece of advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// How bad it is.
    pub severity: Severity,
    /// Its number; `docs/errors/` has a page for it.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// What stands beside the mark under the source line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Other places that belong to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: Code, place: Place, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { place, severity: Severity::Error, code, message, label: None, help: None, notes: Vec::new() }
    }

    /// A warning.
    pub fn warning(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// With a text beside the mark.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// With what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With a "did you mean" as its label, if there is one.
    #[must_use]
    pub fn suggest(mut self, suggestion: Option<String>) -> Self {
        if let Some(it) = suggestion {
            self.label = Some(format!("did you mean `{it}`?"));
        }
        self
    }

    /// With another place.
    #[must_use]
    pub fn note(mut self, place: Place, text: impl Into<String>) -> Self {
        self.notes.push(Note { place, text: text.into() });
        self
    }

    /// Whether it refuses the package.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The candidate that a person most probably meant.
pub(crate) fn closest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .filter(|it| *it != text)
        .map(|it| (strsim::damerau_levenshtein(text, it), it))
        .filter(|(distance, it)| *distance <= it.len().min(text.len()) / 3 + 1 && *distance < it.len().max(2))
        .min_by_key(|(distance, it)| (*distance, it.len()))
        .map(|(_, it)| it.to_owned())
}

/// Words for "these exist", so that nobody has to look them up.
pub(crate) fn known<'a>(what: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let mut all: Vec<&str> = candidates.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    match all.len() {
        0 => format!("there are no {what}"),
        count if count > SHOWN => format!("{what} are {}, … ({count} in all)", all[..SHOWN].join(", ")),
        _ => format!("{what} are {}", all.join(", ")),
    }
}
