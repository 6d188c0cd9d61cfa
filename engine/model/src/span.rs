//! Lengths of time as people write them in YAML: `250ms`, `90s`, `5m`, `2h`, `1d`. Points in time are `jiff::Timestamp`s
//! and always arguments.

use std::{fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time in whole milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

/// A text that is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a length of time: write a whole number and one of ms, s, m, h, d, as in `90s`")]
pub struct InvalidSpan(pub String);

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Span {
    /// The pattern that the schemas print.
    pub const PATTERN: &'static str = "^[0-9]+(ms|s|m|h|d)$";

    /// A span of whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000)
    }

    /// A span of whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Its length in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The same length for the standard library.
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// The moment this long after `start`; the last representable moment if there is none.
    pub fn after(self, start: jiff::Timestamp) -> jiff::Timestamp {
        start.checked_add(self.as_duration()).unwrap_or(jiff::Timestamp::MAX)
    }

    /// The sum, at most the longest span.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) =
            UNITS.iter().rev().find(|(_, size)| self.0.is_multiple_of(*size) && self.0 > 0).unwrap_or(&("s", 1_000));
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;
    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let invalid = || InvalidSpan(text.to_owned());
        let digits = text.find(|it: char| !it.is_ascii_digit()).ok_or_else(invalid)?;
        let number: u64 = text[..digits].parse().map_err(|_| invalid())?;
        let (_, size) = UNITS.iter().find(|(unit, _)| *unit == &text[digits..]).ok_or_else(invalid)?;
        number.checked_mul(*size).map(Self).ok_or_else(invalid)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": Self::PATTERN})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_they_are_read() {
        for text in ["250ms", "90s", "5m", "2h", "1d", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for bad in ["", "5", "s", "-1s", "1.5s", "1w", "99999999999999999999s"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
