//! Takes secrets out of a log by their value, while it streams. Which values are secret is decided by the role's declaration.

use serde_json::Value;

/// Shorter values are too common to be replaced.
const SHORTEST: usize = 4;
/// As many values are looked for. Of a role with more nothing is shown, since some of them would be.
const MAX_SECRETS: usize = 4096;
const WITHHELD: &[u8] = b"[withheld: the role has more secrets than can be looked for]\n";
const STARS: &[u8] = b"***";

/// Replaces the values that it knows by `***`.
#[derive(Debug, Default)]
pub struct Redactor {
    /// By first byte, longest first.
    secrets: Vec<Vec<Vec<u8>>>,
    count: usize,
    held: Vec<u8>,
    withholds: Withholds,
}

/// Whether nothing is shown any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Withholds {
    #[default]
    No,
    /// And it has not been said.
    Silently,
    Yes,
}

impl Redactor {
    /// A redactor that knows nothing yet.
    pub fn new() -> Self {
        Self { secrets: vec![Vec::new(); 256], count: 0, held: Vec::new(), withholds: Withholds::No }
    }

    /// Learns all strings and long numbers in a value: as they are, line by line, and as JSON writes them.
    pub fn learn(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                self.learn_text(text);
                text.lines().for_each(|line| self.learn_text(line.trim()));
                let escaped = value.to_string();
                self.learn_text(escaped.trim_matches('"'));
            }
            Value::Number(number) => self.learn_text(&number.to_string()),
            Value::Array(values) => values.iter().for_each(|value| self.learn(value)),
            Value::Object(values) => values.values().for_each(|value| self.learn(value)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn learn_text(&mut self, text: &str) {
        let secret = text.as_bytes();
        if secret.len() < SHORTEST {
            return;
        }
        let alike = &mut self.secrets[usize::from(secret[0])];
        if alike.iter().any(|known| known == secret) {
            return;
        }
        if self.count >= MAX_SECRETS {
            if self.withholds == Withholds::No {
                self.withholds = Withholds::Silently;
            }
            return;
        }
        alike.push(secret.to_vec());
        alike.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        self.count += 1;
    }

    /// What of this may be shown. An end that may be the beginning of a secret is held back until more is known.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        match self.withholds {
            Withholds::No => {}
            Withholds::Silently => {
                self.withholds = Withholds::Yes;
                return WITHHELD.to_vec();
            }
            Withholds::Yes => return Vec::new(),
        }
        if self.count == 0 && self.held.is_empty() {
            return bytes.to_vec();
        }
        let mut buffer = std::mem::take(&mut self.held);
        buffer.extend_from_slice(bytes);
        let (shown, rest) = self.scan(&buffer, End::Open);
        self.held = buffer.split_off(rest);
        shown
    }

    /// What was held back; nothing comes after it.
    pub fn flush(&mut self) -> Vec<u8> {
        let buffer = std::mem::take(&mut self.held);
        if self.withholds != Withholds::No {
            return Vec::new();
        }
        self.scan(&buffer, End::Closed).0
    }

    /// A whole text without secrets.
    pub fn text(&self, text: &str) -> String {
        if self.withholds != Withholds::No {
            return String::from_utf8_lossy(STARS).into_owned();
        }
        String::from_utf8_lossy(&self.scan(text.as_bytes(), End::Closed).0).into_owned()
    }

    /// What may be shown of a buffer, and where the part begins that must wait.
    fn scan(&self, buffer: &[u8], end: End) -> (Vec<u8>, usize) {
        let mut shown = Vec::with_capacity(buffer.len());
        let mut at = 0;
        while at < buffer.len() {
            let rest = &buffer[at..];
            let alike = &self.secrets[usize::from(rest[0])];
            if end == End::Open && alike.iter().any(|secret| secret.len() > rest.len() && secret.starts_with(rest)) {
                break;
            }
            if let Some(secret) = alike.iter().find(|secret| rest.starts_with(secret)) {
                shown.extend_from_slice(STARS);
                at += secret.len();
            } else {
                shown.push(rest[0]);
                at += 1;
            }
        }
        (shown, at)
    }
}

/// Whether more may follow a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Closed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(secrets: &[&str], chunks: &[&str], expected: &str) {
        let mut redactor = Redactor::new();
        for secret in secrets {
            redactor.learn(&Value::String((*secret).to_owned()));
        }
        let mut shown = Vec::new();
        for chunk in chunks {
            shown.extend(redactor.push(chunk.as_bytes()));
        }
        shown.extend(redactor.flush());
        assert_eq!(String::from_utf8_lossy(&shown), expected);
    }

    #[test]
    fn secrets_do_not_pass_whatever_the_chunks() {
        check(&["hunter22"], &["the password is hunter22\n"], "the password is ***\n");
        check(&["hunter22"], &["the password is hun", "ter", "22\n"], "the password is ***\n");
        check(&["hunter22"], &["hun", "dred hunter2", "3"], "hundred hunter23");
        check(&["abcd", "abcdef"], &["abcd", "ef abcd"], "*** ***");
        check(&["line one\nline two"], &["line one\nx\nline two"], "***\nx\n***");
        check(&["a\"b\nc"], &[r#"{"k":"a\"b\nc"}"#], r#"{"k":"***"}"#);
        check(&["abc"], &["abc is too short"], "abc is too short");
        check(&[], &["plain"], "plain");
    }

    #[test]
    fn every_cut_gives_the_same() {
        let text = "x secretvalue y secretvaluesecretvalue secretval";
        for cut in 0..text.len() {
            check(&["secretvalue"], &[&text[..cut], &text[cut..]], "x *** y ****** secretval");
        }
    }

    #[test]
    fn of_a_role_with_too_many_secrets_nothing_is_shown() {
        let mut redactor = Redactor::new();
        for number in 0..MAX_SECRETS {
            redactor.learn(&Value::String(format!("secret-{number:05}")));
        }
        assert_eq!(redactor.push(b"plain secret-04095\n"), b"plain ***\n");
        redactor.learn(&Value::String("secret-00000".to_owned()));
        assert_eq!(redactor.text("plain"), "plain", "one that is known is not one more");
        redactor.push(b"secret-");
        redactor.learn(&Value::String("one-too-many".to_owned()));
        assert_eq!(redactor.push(b"one-too-many, secret-00001\n"), WITHHELD);
        assert_eq!(redactor.push(b"one-too-many\n"), b"");
        assert_eq!(redactor.flush(), b"");
        assert_eq!(redactor.text("one-too-many"), "***");
    }

    #[test]
    fn only_what_may_be_a_secret_is_held_back() {
        let mut redactor = Redactor::new();
        redactor.learn(&Value::String("token-1".to_owned()));
        assert_eq!(redactor.push(b"progress..."), b"progress...");
        assert_eq!(redactor.push(b" tok"), b" ");
        assert_eq!(redactor.push(b"yo"), b"tokyo");
    }
}
