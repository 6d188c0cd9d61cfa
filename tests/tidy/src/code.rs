//! Just enough of Rust's grammar to tell code, comments and texts apart, so that a rule about code is not broken by a sentence.

/// What of a source file is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Neither comments nor the insides of texts.
    Code,
    /// Code with its texts, without comments.
    CodeAndTexts,
}

/// The source with everything else blanked out; lines stay where they are.
pub fn mask(source: &str, part: Part) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut masked = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let (end, keep) = token(&chars, at, part);
        for &it in &chars[at..end] {
            masked.push(if keep || it == '\n' { it } else { ' ' });
        }
        at = end;
    }
    masked
}

/// Where the token that begins here ends, and whether it is kept.
fn token(chars: &[char], at: usize, part: Part) -> (usize, bool) {
    let next = chars.get(at + 1).copied();
    let texts = part == Part::CodeAndTexts;
    match chars[at] {
        '/' if next == Some('/') => (find(chars, at, |it| it == '\n'), false),
        '/' if next == Some('*') => (block_comment(chars, at), false),
        '"' => (text(chars, at + 1), texts),
        'r' if !is_word(chars, at) && matches!(next, Some('"' | '#')) => match raw_text(chars, at + 1) {
            Some(end) => (end, texts),
            None => (at + 1, true),
        },
        '\'' => (character(chars, at), true),
        _ => (at + 1, true),
    }
}

fn find(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|it| stop(*it)).map_or(chars.len(), |it| from + it)
}

/// Whether the character before belongs to the same word.
fn is_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn block_comment(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from + 2, 1);
    while at < chars.len() && depth > 0 {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at.min(chars.len())
}

/// The end of a text whose first character is at `at`.
fn text(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The end of a raw text; none if this is a raw identifier.
fn raw_text(chars: &[char], from: usize) -> Option<usize> {
    let quote = find(chars, from, |it| it != '#');
    if chars.get(quote) != Some(&'"') {
        return None;
    }
    let hashes = quote - from;
    let mut at = quote + 1;
    while at < chars.len() {
        let closing =
            chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|it| **it == '#').count() == hashes;
        if closing {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(chars.len())
}

/// The end of a character, or of the tick of a lifetime.
fn character(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => (find(chars, at + 3, |it| it == '\'') + 1).min(chars.len()),
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

/// The source up to its module of tests, which stands at its end.
pub fn outside_tests(source: &str) -> &str {
    let is_start = |(at, _): &(usize, &str)| {
        let rest = &source[at + "#[cfg(test)]".len()..];
        rest.trim_start().starts_with("mod ") && rest.lines().nth(1).is_some_and(|it| it.ends_with('{'))
    };
    source.match_indices("#[cfg(test)]").find(is_start).map_or(source, |(at, _)| &source[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &str) {
        assert_eq!(mask(source, Part::Code).split_whitespace().collect::<Vec<_>>().join(" "), expected, "{source}");
    }

    #[test]
    fn comments_and_texts_are_blanked() {
        check("let a = 1; // async", "let a = 1;");
        check("/* a /* b */ async */ let a;", "let a;");
        check(r#"say("async \" fn"); go"#, "say( ); go");
        check(r##"let a = r#"async "x" "#; go"##, "let a = ; go");
        check("let r = r#match; go", "let r = r#match; go");
        check("let a: &'a str = x('\"'); '\\''; go", "let a: &'a str = x('\"'); '\\''; go");
        assert_eq!(mask("a \"x\"", Part::CodeAndTexts), "a \"x\"");
        assert_eq!(mask("a\n// b\nc", Part::Code).lines().count(), 3);
    }

    #[test]
    fn tests_stand_at_the_end() {
        assert_eq!(outside_tests("fn a() {}\n#[cfg(test)]\nmod tests {\n}"), "fn a() {}\n");
        assert_eq!(outside_tests("#[cfg(test)]\nmod tests;\nfn a() {}"), "#[cfg(test)]\nmod tests;\nfn a() {}");
    }
}
