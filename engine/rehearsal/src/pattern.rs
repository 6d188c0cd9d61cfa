//! Texts that match a regular expression: the simplest way through it, with letters and digits drawn where any would do.

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::limits::MAX_TEXT;

/// A text that matches an expression, if one can be made; it may be longer, to reach `length` characters.
pub(crate) fn text(expression: &str, length: usize, draws: [u8; 32]) -> Result<String, String> {
    let hir = regex_syntax::parse(expression).map_err(|_| format!("its pattern `{expression}` is not understood"))?;
    let mut out = Maker { text: String::new(), length, draws, at: 0 };
    out.add(&hir).ok_or_else(|| format!("nothing that matches `{expression}` can be made"))?;
    Ok(out.text)
}

struct Maker {
    text: String,
    length: usize,
    draws: [u8; 32],
    at: usize,
}

impl Maker {
    fn add(&mut self, hir: &Hir) -> Option<()> {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.text.push_str(std::str::from_utf8(&literal.0).ok()?),
            HirKind::Class(class) => {
                let letter = self.pick(class)?;
                self.text.push(letter);
            }
            HirKind::Repetition(it) => {
                let mut count = 0;
                let most = it.max.unwrap_or(u32::MAX);
                // What may be left out is taken once, for a text that shows something.
                let least = it.min.max(u32::from(self.text.is_empty())).min(most);
                while count < least || (count < most && self.text.chars().count() < self.length) {
                    let before = self.text.len();
                    self.add(&it.sub)?;
                    count += 1;
                    if self.text.len() == before {
                        break;
                    }
                }
            }
            HirKind::Capture(it) => self.add(&it.sub)?,
            HirKind::Concat(parts) => parts.iter().try_for_each(|it| self.add(it))?,
            HirKind::Alternation(parts) => self.add(parts.first()?)?,
        }
        (self.text.len() <= MAX_TEXT).then_some(())
    }

    /// A letter of a class: a letter or a digit if it has one, and never a control character if that can be helped.
    fn pick(&mut self, class: &Class) -> Option<char> {
        let ranges: Vec<(char, char)> = match class {
            Class::Unicode(class) => class.ranges().iter().map(|it| (it.start(), it.end())).collect(),
            Class::Bytes(class) => {
                class.ranges().iter().map(|it| (char::from(it.start()), char::from(it.end()))).collect()
            }
        };
        let within = |letter: char| ranges.iter().any(|(first, last)| (*first..=*last).contains(&letter));
        let mut usual: Vec<char> = ('a'..='z').chain('0'..='9').filter(|it| within(*it)).collect();
        if usual.is_empty() {
            usual = ('!'..='~').filter(|it| within(*it)).collect();
        }
        self.at += 1;
        match usual.len() {
            0 => ranges.first().map(|(first, _)| *first),
            count => Some(usual[usize::from(self.draws[self.at % self.draws.len()]) % count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_match_their_pattern() {
        let draws = std::array::from_fn(|it| u8::try_from(it * 37 % 251).unwrap());
        for pattern in [
            "^[0-9]+(s|m|h|d)$",
            "^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
            "^(SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25})$",
            "^https?://[^/]+:2376$",
            r"^\d{1,3}\.\d{1,3}$",
            "",
            "abc",
        ] {
            let made = text(pattern, 4, draws).unwrap();
            let schema = serde_json::json!({"type": "string", "pattern": pattern});
            assert!(jsonschema::is_valid(&schema, &made.clone().into()), "{pattern}: {made}");
        }
        assert!(text("(", 0, draws).is_err());
    }

    #[test]
    fn a_text_is_as_long_as_it_may_be() {
        let length = |pattern: &str, length: usize| text(pattern, length, [0; 32]).map(|it| it.len()).ok();
        for pattern in ["a", "ab{2}c", "(a|b){3}", "[a-z]+"] {
            let size = length(pattern, 0).unwrap();
            let times = |count: usize| length(&format!("({pattern}){{{count}}}"), 0);
            assert_eq!(times(MAX_TEXT / size), Some(MAX_TEXT / size * size), "{pattern}");
            assert_eq!(times(MAX_TEXT / size + 1), None, "{pattern}");
        }
        assert_eq!(length("^a+$", MAX_TEXT), Some(MAX_TEXT));
        assert_eq!(length("^a+$", MAX_TEXT + 1), None);
        assert_eq!(length("((a{1000}){1000}){1000}", 0), None);
    }
}
