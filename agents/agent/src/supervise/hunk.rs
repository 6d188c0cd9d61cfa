//! The difference between two texts as one hunk of a unified diff, for people. It is not the shortest: what lies between the first
//! and the last changed line is shown as changed.

use std::fmt::Write;

/// Unchanged lines around the changed ones.
const CONTEXT: usize = 3;

/// The hunk that makes the new text of the old one; nothing when they are the same.
pub(crate) fn hunk(old: &str, new: &str) -> Option<String> {
    if old == new {
        return None;
    }
    let (before, after): (Vec<&str>, Vec<&str>) =
        (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let head = before.iter().zip(&after).take_while(|(old, new)| old == new).count();
    let most = before.len().min(after.len()) - head;
    let tail = before.iter().rev().zip(after.iter().rev()).take(most).take_while(|(old, new)| old == new).count();
    let first = head.saturating_sub(CONTEXT);
    let end = |lines: &[&str]| (lines.len() - tail + CONTEXT).min(lines.len());
    let mut text = String::new();
    let range = |lines: &[&str]| {
        let count = end(lines) - first;
        // An empty range is named by the line before it.
        format!("{},{count}", if count == 0 { first } else { first + 1 })
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "@@ -{} +{} @@", range(&before), range(&after));
    let mut lines = |mark: char, lines: &[&str]| {
        for line in lines {
            text.push(mark);
            text.push_str(line);
            if !line.ends_with('\n') {
                text.push_str("\n\\ No newline at end of file\n");
            }
        }
    };
    lines(' ', &before[first..head]);
    lines('-', &before[head..before.len() - tail]);
    lines('+', &after[head..after.len() - tail]);
    lines(' ', &before[before.len() - tail..end(&before)]);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, new: &str, expected: &str) {
        assert_eq!(hunk(old, new).as_deref(), Some(expected));
    }

    #[test]
    fn hunks_are_those_of_a_unified_diff() {
        check("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n");
        check("a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b\n");
        check("a\nb\nc\n", "a\nx\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        check(
            "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
            "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
            "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n",
        );
        check("a\na\n", "a\na\na\n", "@@ -1,2 +1,3 @@\n a\n a\n+a\n");
        check("a", "a\n", "@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n");
        assert_eq!(hunk("same\n", "same\n"), None);
    }
}
