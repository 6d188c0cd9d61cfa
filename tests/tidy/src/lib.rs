//! House rules as functions over the text of the repository: each takes what it looks at and gives back what breaks the rule, one
//! line each. The tests hand in the real repository; nothing here knows what is right about any one file.

mod code;
mod codes;
mod files;
mod floors;
mod limits;
mod markdown;

pub use code::{Part, mask, outside_tests};
pub use codes::{code_pages, codes_in};
pub use files::{File, read, root};
pub use floors::{Crate, Row, check, heavy, table};
pub use limits::{differing_limits, limits_in, limits_of};
pub use markdown::{broken_checkers, broken_links, broken_paths};

/// The forbidden words of a file, each with its line. Pieced together here, so that this file does not break its own rule.
pub fn forbidden_words(file: &File) -> Vec<String> {
    let private = concat!("/wo", "rk/");
    let (later, broken) = (concat!("TO", "DO"), concat!("FIX", "ME"));
    let mut found = Vec::new();
    for (line, text) in file.lines() {
        // An issue number says where the thought goes on: `(#12)`.
        let unfounded = text.contains(later) && !text.contains("(#");
        if text.contains(private) || text.contains(broken) || unfounded {
            found.push(format!("{}:{line}: {}", file.path, text.trim()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_where_they_stand() {
        let text = concat!("fine\nTO", "DO later\nTO", "DO(#12): later\nsee /wo", "rk/x\n");
        let found = forbidden_words(&File { path: "a.md".into(), text: text.into() });
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("a.md:2:") && found[1].starts_with("a.md:4:"));
    }
}
