//! The limits in the code and the tables of them in `docs/limits.md`: each has to be in the other, with the same value.

use std::collections::BTreeMap;

use crate::{File, Part, mask, outside_tests};

/// The kinds of values that a limit has.
const TYPES: [&str; 11] =
    ["usize", "u64", "u32", "u16", "u8", "i64", "i32", "f64", "Duration", "Span", "std::time::Duration"];
/// How the name of a limit begins that does not stand in a file of limits.
const BEGINNINGS: [&str; 3] = ["MAX_", "MOST", "LEAST"];
/// Where a number says how much a screen shows, and nothing depends on it.
const SCREENS: [&str; 2] = ["engine/cli/src/screen/", "engine/cli/src/live/"];

/// Where a limit stands and what it is called.
type Place = (String, String);

/// The limits of the product's code, each with its value.
pub fn limits_in(files: &[File]) -> BTreeMap<Place, String> {
    let is_code = |it: &&File| it.path.contains("/src/") && it.ends_with(".rs") && !it.is_test();
    let is_screen = |it: &&File| SCREENS.iter().any(|screen| it.path.starts_with(screen));
    let mut found = BTreeMap::new();
    for file in files.iter().filter(is_code).filter(|it| !is_screen(it)) {
        let code = mask(outside_tests(&file.text), Part::CodeAndTexts);
        let all = file.ends_with("/limits.rs");
        for (name, value) in constants(&code) {
            if all || BEGINNINGS.iter().any(|it| name.starts_with(it)) {
                found.insert((file.path.clone(), name), value);
            }
        }
        if all {
            found.extend(defaults(&code).map(|(name, value)| ((file.path.clone(), name), value)));
        }
    }
    found
}

/// The limits that a page speaks of: name, value and place are the first columns of a row.
pub fn limits_of(page: &File) -> BTreeMap<Place, String> {
    let rows = page.text.lines().filter(|it| it.starts_with("| `"));
    rows.filter_map(|row| {
        let mut columns = row.trim_matches('|').split(" | ").map(|it| it.trim().trim_matches('`').to_owned());
        let (name, value, path) = (columns.next()?, columns.next()?, columns.next()?);
        Some(((path, name), value))
    })
    .collect()
}

/// What does not agree between the code and the page.
pub fn differing_limits(files: &[File], page: &File) -> Vec<String> {
    let (code, told) = (limits_in(files), limits_of(page));
    let mut found = Vec::new();
    for ((path, name), value) in &code {
        match told.get(&(path.clone(), name.clone())) {
            None => found.push(format!("{}: says nothing of {name} ({value}) of {path}", page.path)),
            Some(other) if other != value => {
                found.push(format!("{}: {name} of {path} is {value}, not {other}", page.path));
            }
            Some(_) => {}
        }
    }
    let gone = told.keys().filter(|it| !code.contains_key(*it));
    found.extend(gone.map(|(path, name)| format!("{}: there is no {name} in {path}", page.path)));
    found
}

/// The numbers and spans of time that a source names: `const NAME: TYPE = VALUE;`.
fn constants(code: &str) -> impl Iterator<Item = (String, String)> {
    code.split("const ").skip(1).filter_map(|rest| {
        let (declared, value) = rest.split_once(';')?.0.split_once('=')?;
        let (name, kind) = declared.split_once(':')?;
        TYPES.contains(&kind.trim()).then(|| (name.trim().to_owned(), words(value)))
    })
}

/// The fields that `Limits` has where nobody sets them.
fn defaults(code: &str) -> impl Iterator<Item = (String, String)> {
    let body = code.split_once("fn default() -> Self {").map_or("", |(_, rest)| rest);
    let body = body.split_once("Self {").and_then(|(_, rest)| rest.split_once('}')).map_or("", |(fields, _)| fields);
    body.lines().filter_map(|line| {
        let (name, value) = line.trim().strip_suffix(',')?.split_once(": ")?;
        Some((format!("Limits::{name}"), words(value)))
    })
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn what_is_in_one_has_to_be_in_the_other() {
        let files = [
            file(
                "a/src/limits.rs",
                "pub const QUEUE: usize = 4;\nimpl Default for Limits {\nfn default() -> Self {\nSelf {\nroom: 7,\n}\n}\n}",
            ),
            file(
                "a/src/x.rs",
                "const MAX_X: u64 =\n    2 * 3; // const MAX_Y: u64 = 4;\nconst OTHER: u64 = 1;\nconst MAX_NAME: &str = \"x\";",
            ),
            file("a/tests/x.rs", "const MAX_Z: u64 = 1;"),
        ];
        let check = |rows: &str, broken: usize| {
            let found = differing_limits(&files, &file("docs/limits.md", rows));
            assert_eq!(found.len(), broken, "{rows}: {found:?}");
        };
        let good = "| `QUEUE` | `4` | `a/src/limits.rs` | waits |\n| `Limits::room` | `7` | `a/src/limits.rs` | x |\n\
                    | `MAX_X` | `2 * 3` | `a/src/x.rs` | fails |\n";
        check(good, 0);
        check(&good.replace("`4`", "`5`"), 1);
        check(&good.replace("MAX_X", "MAX_W"), 2);
        check("", 3);
    }
}
