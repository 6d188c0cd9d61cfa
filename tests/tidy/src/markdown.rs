//! What Markdown points to: links, paths between back-ticks, and the tests that a page calls upon. All of it has to be there.

use std::collections::BTreeSet;

use crate::{File, Part, mask};

/// The folders that a path in a sentence begins with.
const TOP: [&str; 10] =
    ["engine/", "provisioner/", "agents/", "workloads/", "proto/", "migrations/", "ui/", "docs/", "tests/", ".ci/"];

/// Links of a page to files and headings that are not there.
pub fn broken_links(page: &File, files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for (line, text) in prose(page) {
        for target in link_targets(&text) {
            if !resolves(&target, page, files) {
                found.push(format!("{}:{line}: links to {target}", page.path));
            }
        }
    }
    found
}

/// Paths between back-ticks that are not there.
pub fn broken_paths(page: &File, files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for (line, text) in prose(page) {
        for path in spans(&text).map(|it| it.split("::").next().unwrap_or(it)) {
            let literal = path.chars().all(|it| it.is_ascii_alphanumeric() || "/._-".contains(it));
            if literal && TOP.iter().any(|it| path.starts_with(it)) && !is_there(path, files) {
                found.push(format!("{}:{line}: speaks of {path}", page.path));
            }
        }
    }
    found
}

/// Tests that a page calls upon, as `path/to/file.rs::name`, and that are not there.
pub fn broken_checkers(page: &File, files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for (line, text) in prose(page) {
        for (path, name) in spans(&text).filter_map(|it| it.split_once(".rs::")) {
            let path = format!("{path}.rs");
            let source = files.iter().find(|it| it.path == path);
            if !source.is_some_and(|it| mask(&it.text, Part::Code).contains(&format!("fn {name}("))) {
                found.push(format!("{}:{line}: calls upon {path}::{name}", page.path));
            }
        }
    }
    found
}

/// The lines outside of fenced blocks.
fn prose(page: &File) -> impl Iterator<Item = (usize, String)> {
    let mut fenced = false;
    page.lines().filter_map(move |(line, text)| {
        if text.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then(|| (line, text.to_owned()))
    })
}

/// What stands between back-ticks.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn link_targets(text: &str) -> Vec<String> {
    // What stands between back-ticks is no link.
    let plain: String = text.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let after = plain.split("](").skip(1).filter_map(|it| it.split(')').next());
    after.map(|it| it.split_whitespace().next().unwrap_or_default().to_owned()).collect()
}

fn resolves(target: &str, page: &File, files: &[File]) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (path, heading) = target.split_once('#').map_or((target, None), |(path, heading)| (path, Some(heading)));
    let path = if path.is_empty() { page.path.clone() } else { join(&page.path, path) };
    let Some(heading) = heading else { return is_there(&path, files) };
    files.iter().find(|it| it.path == path).is_some_and(|it| headings(it).contains(heading))
}

/// A path relative to a page.
fn join(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    parts.join("/")
}

fn is_there(path: &str, files: &[File]) -> bool {
    let path = path.trim_end_matches('/');
    files.iter().any(|it| it.path == path || it.path.strip_prefix(path).is_some_and(|it| it.starts_with('/')))
}

/// The anchors of a page's headings, as code forges make them.
fn headings(page: &File) -> BTreeSet<String> {
    let heads = prose(page).filter(|(_, text)| text.starts_with('#'));
    heads
        .map(|(_, text)| {
            let plain = text.trim_start_matches('#').trim().to_lowercase();
            plain.chars().filter(|it| it.is_alphanumeric() || " -_".contains(*it)).collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn what_is_not_there_is_said() {
        let files = [
            file("docs/a.md", "# A page\n## What's new?\n"),
            file("tests/x/src/lib.rs", "fn it_works() {} // fn it_does_not() {}"),
        ];
        let check = |text: &str, broken: usize| {
            let page = file("docs/b.md", text);
            let found: Vec<_> =
                [broken_links(&page, &files), broken_paths(&page, &files), broken_checkers(&page, &files)].concat();
            assert_eq!(found.len(), broken, "{text}: {found:?}");
        };
        check("[a](a.md) [b](../tests/x/) [c](https://example.com) [d](a.md#whats-new)", 0);
        check("[a](c.md) [b](a.md#old) [c](../tests/y)", 3);
        check("`[a](c.md)`\n```text\n[a](c.md)\n```\n", 0);
        check("`tests/x/src/lib.rs` `tests/x` `tests/*/y` `docs/<name>.md`", 0);
        check("`tests/x/src/no.rs`", 1);
        check("`tests/x/src/lib.rs::it_works`", 0);
        check("`tests/x/src/lib.rs::it_does_not`", 1);
    }
}
