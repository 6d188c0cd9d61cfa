//! Small things that many screens say: lengths of time, plurals, ranges of names, values. Nothing here knows what it is about.

use std::cmp::Ordering;

use jiff::Timestamp;
use rebar_model::secret_refs;
use serde_json::Value;

use super::Look;

/// The longest value that is shown on a line.
const MAX_VALUE: usize = 72;

/// A length of time as people read it: `41s`, `1m12s`, `2h05m`, `3d04h`.
pub fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m{:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// The seconds between two moments.
pub fn seconds(start: Timestamp, end: Timestamp) -> i64 {
    end.duration_since(start).as_secs()
}

/// The time between two moments.
pub fn between(start: Timestamp, end: Timestamp) -> String {
    duration(seconds(start, end))
}

/// The time since a moment, in words.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = seconds(then, now);
    if seconds < 2 { "just now".to_owned() } else { format!("{} ago", duration(seconds)) }
}

/// A clock for what runs: `0:41`, `12:07`, `1:02:03`.
pub fn clock(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds / 3_600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

/// A moment as people read it; the zone is always said.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `1 node`, `3 nodes`.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Names with the same stem and consecutive numbers in short: `w-{1..50}, x`. As for a shell, `{08..12}` is filled up with zeros.
pub fn ranges<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_by(|left, right| natural(left, right));
    names.dedup();
    let mut parts: Vec<String> = Vec::new();
    let mut rest = names.as_slice();
    while let Some(first) = rest.first() {
        let run = run_length(rest);
        let last = rest[run - 1];
        match (numbered(first), numbered(last)) {
            (Some((stem, start, _)), Some((_, end, _))) if run > 2 => parts.push(format!("{stem}{{{start}..{end}}}")),
            _ => parts.extend(rest[..run].iter().map(|it| (*it).to_owned())),
        }
        rest = &rest[run..];
    }
    parts.join(", ")
}

/// How many names from the first on have one stem and consecutive numbers.
fn run_length(names: &[&str]) -> usize {
    let follows = |pair: &[&str]| match (numbered(pair[0]), numbered(pair[1])) {
        (Some((stem, digits, number)), Some((next_stem, next_digits, next))) => {
            // `{8..12}` has numbers of any length, `{08..12}` of one.
            let is_padded = |digits: &str| digits.len() > 1 && digits.starts_with('0');
            let is_same = digits.len() == next_digits.len() || !(is_padded(digits) || is_padded(next_digits));
            stem == next_stem && is_same && number.checked_add(1) == Some(next)
        }
        _ => false,
    };
    1 + names.windows(2).take_while(|pair| follows(pair)).count()
}

/// A name as its stem, its digits and their number.
fn numbered(name: &str) -> Option<(&str, &str, u64)> {
    let stem = name.trim_end_matches(|it: char| it.is_ascii_digit());
    let digits = &name[stem.len()..];
    Some((stem, digits, digits.parse().ok()?))
}

/// The order in which people count: `n2` before `n10`, `1.9.0` before `1.10.0`.
pub fn natural(left: &str, right: &str) -> Ordering {
    /// Digits and what stands between them.
    fn parts(text: &str) -> impl Iterator<Item = &[u8]> {
        text.as_bytes().chunk_by(|left, right| left.is_ascii_digit() == right.is_ascii_digit())
    }
    let value = |digits: &'_ [u8]| digits.iter().position(|it| *it != b'0').unwrap_or(digits.len());
    for (left, right) in parts(left).zip(parts(right)) {
        let order = if left[0].is_ascii_digit() && right[0].is_ascii_digit() {
            let (left, right) = (&left[value(left)..], &right[value(right)..]);
            left.len().cmp(&right.len()).then(left.cmp(right))
        } else {
            left.cmp(right)
        };
        if order.is_ne() {
            return order;
        }
    }
    // The same as far as the shorter one goes, leading zeros apart.
    parts(left).count().cmp(&parts(right).count()).then(left.cmp(right))
}

/// A value on one line; a secret as a mask, something long cut.
pub fn value(value: &Value, look: &Look) -> String {
    if let Some(mask) = mask(value) {
        return mask;
    }
    let text = value.to_string();
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}{}", &text[..end], look.pick("…", "...")),
        None => text,
    }
}

/// What is shown in place of a secret; none for anything else.
pub fn mask(value: &Value) -> Option<String> {
    if !secret_refs(value).is_empty() {
        return Some("(secret)".to_owned());
    }
    let object = value.as_object()?;
    if object.get("secret") != Some(&Value::Bool(true)) {
        return None;
    }
    Some(match object.get("fingerprint").and_then(Value::as_str) {
        Some(fingerprint) => format!("(secret {fingerprint})"),
        None => "(secret)".to_owned(),
    })
}

/// How many columns a text takes, colours apart.
pub fn columns(text: &str) -> usize {
    let mut columns = 0;
    let mut escape = false;
    for letter in text.chars() {
        match letter {
            '\u{1b}' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            _ => columns += 1,
        }
    }
    columns
}

/// A text cut to a width, colours apart and closed.
pub fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let (mut out, mut used, mut escape) = (String::new(), 0, false);
    for letter in text.chars() {
        match letter {
            '\u{1b}' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            _ if used == width => break,
            _ => used += 1,
        }
        out.push(letter);
    }
    if text.contains('\u{1b}') { out + "\u{1b}[0m" } else { out }
}

/// A text filled up with spaces, colours apart.
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_as_they_are_said() {
        let cases =
            [(0, "0s"), (59, "59s"), (72, "1m12s"), (7_500, "2h05m"), (3 * 86_400 + 4 * 3_600, "3d04h"), (-5, "0s")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!([clock(41), clock(727), clock(3_723)], ["0:41", "12:07", "1:02:03"]);
    }

    #[test]
    fn names_that_follow_each_other_are_ranges() {
        let cases: [(&[&str], &str); 8] = [
            (&["w-2", "w-10", "w-1", "w-3"], "w-{1..3}, w-10"),
            (&["n1", "n2"], "n1, n2"),
            (&["n08", "n09", "n10", "n11"], "n{08..11}"),
            (&["n000", "n001", "n002"], "n{000..002}"),
            (&["n01", "n2", "n3", "n09", "n10", "n100"], "n01, n2, n3, n09, n10, n100"),
            (&["a", "b", "c"], "a, b, c"),
            (&["n9", "n10", "n11"], "n{9..11}"),
            (&[], ""),
        ];
        for (names, text) in cases {
            assert_eq!(ranges(names.iter().copied()), text);
        }
    }

    #[test]
    fn people_count_with_numbers() {
        let mut names =
            ["web@1.10.0", "web@1.9.0", "n10", "n2", "n02", "n", "web", "rack-10-n1", "rack-9-n2", "10", "9", ""];
        names.sort_by(|left, right| natural(left, right));
        let sorted =
            ["", "9", "10", "n", "n02", "n2", "n10", "rack-9-n2", "rack-10-n1", "web", "web@1.9.0", "web@1.10.0"];
        assert_eq!(names, sorted);
    }

    #[test]
    fn texts_are_cut_to_the_terminal() {
        assert_eq!(cut("abcdef", 4), "abcd");
        assert_eq!(cut("abc", 4), "abc");
        assert_eq!(cut("\u{1b}[1mabc\u{1b}[0mdef", 4), "\u{1b}[1mabc\u{1b}[0md\u{1b}[0m");
    }

    #[test]
    fn secrets_are_never_shown() {
        let look = Look::plain(80);
        assert_eq!(value(&json!({"$secret": "abc"}), &look), "(secret)");
        assert_eq!(value(&json!({"secret": true, "fingerprint": "12ab"}), &look), "(secret 12ab)");
        assert_eq!(value(&json!([{"$secret": "abc"}]), &look), "(secret)");
        assert_eq!(value(&json!("29.0"), &look), "\"29.0\"");
    }
}
