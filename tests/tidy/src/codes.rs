//! The numbers of errors and their pages: every number in the code has a page, every page a number in the code.

use std::collections::{BTreeMap, BTreeSet};

use crate::{File, Part, mask, outside_tests};

/// Where the pages are.
const PAGES: &str = "docs/errors/";

/// All numbers of the form `RB1234` in a text.
pub fn codes_in(text: &str) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for (at, _) in text.match_indices("RB") {
        let digits: String = text[at + 2..].chars().take_while(char::is_ascii_digit).collect();
        let glued = text[..at].ends_with(|it: char| it.is_alphanumeric());
        if digits.len() == 4 && !glued {
            codes.insert(format!("RB{digits}"));
        }
    }
    codes
}

/// What does not agree between the code and the pages. Numbers below `from` are compared by the crate that gives them.
pub fn code_pages(files: &[File], from: &str) -> Vec<String> {
    let mut given: BTreeMap<String, &str> = BTreeMap::new();
    for file in files.iter().filter(|it| it.ends_with(".rs") && !it.is_test()) {
        for code in codes_in(&mask(outside_tests(&file.text), Part::CodeAndTexts)) {
            given.entry(code).or_insert(&file.path);
        }
    }
    let pages: BTreeMap<&str, &File> = files
        .iter()
        .filter_map(|it| Some((it.path.strip_prefix(PAGES)?.strip_suffix(".md")?, it)))
        .filter(|(code, _)| codes_in(code).len() == 1)
        .collect();
    let mut found = Vec::new();
    for (code, place) in given.iter().filter(|(code, _)| code.as_str() >= from) {
        if !pages.contains_key(code.as_str()) {
            found.push(format!("{place}: {code} has no page {PAGES}{code}.md"));
        }
    }
    for (code, page) in &pages {
        if *code >= from && !given.contains_key(*code) {
            found.push(format!("{}: no code gives {code}", page.path));
        }
        if !page.text.starts_with(&format!("# {code}: ")) {
            found.push(format!("{}: begins with something else than `# {code}: `", page.path));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_pages_are_compared() {
        assert_eq!(
            codes_in("RB2001, RB12, xRB2002 and `RB3004`").into_iter().collect::<Vec<_>>(),
            ["RB2001", "RB3004"]
        );
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let files = [
            file("docs/errors/RB2001.md", "# RB2001: x"),
            file("docs/errors/RB2002.md", "# RB2002: x"),
            file("a/src/x.rs", "fn code() -> &str { \"RB2001\" } // RB2009\nconst B: &str = \"RB2003\";"),
        ];
        let found = code_pages(&files, "RB2000");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("RB2003 has no page") && found[1].contains("no code gives RB2002"));
    }
}
