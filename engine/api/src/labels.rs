//! Label selectors as people type them: `rack=b2,tier!=db,gpu,!old`. All terms have to hold.

use std::{collections::BTreeMap, str::FromStr};

/// Chooses things by their labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    label: String,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Is(String),
    IsNot(String),
    There,
    Missing,
}

impl Selector {
    /// Whether labels hold all terms.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|Term { label, rule }| match (rule, labels.get(label)) {
            (Rule::Is(wanted), given) => given == Some(wanted),
            (Rule::IsNot(unwanted), given) => given != Some(unwanted),
            (Rule::There, given) => given.is_some(),
            (Rule::Missing, given) => given.is_none(),
        })
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(term).collect::<Result<_, _>>().map(Self)
    }
}

fn term(text: &str) -> Result<Term, String> {
    let text = text.trim();
    let (label, rule) = if let Some((label, value)) = text.split_once("!=") {
        (label, Rule::IsNot(value.to_owned()))
    } else if let Some((label, value)) = text.split_once('=') {
        (label, Rule::Is(value.to_owned()))
    } else if let Some(label) = text.strip_prefix('!') {
        (label, Rule::Missing)
    } else {
        (text, Rule::There)
    };
    if label.is_empty() {
        return Err(format!("`{text}` is no label selector: write label=value, label!=value, label or !label"));
    }
    Ok(Term { label: label.to_owned(), rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_selected() {
        let labels = BTreeMap::from([("rack".to_owned(), "b2".to_owned()), ("gpu".to_owned(), String::new())]);
        let check = |text: &str| text.parse::<Selector>().unwrap().matches(&labels);
        for holds in ["", "rack=b2", "rack=b2, gpu", "tier!=db", "!old,gpu="] {
            assert!(check(holds), "{holds}");
        }
        for fails in ["rack=b3", "rack!=b2", "old", "!gpu", "rack=b2,old"] {
            assert!(!check(fails), "{fails}");
        }
        assert!("=x".parse::<Selector>().is_err() && "a,,b".parse::<Selector>().is_err());
    }
}
