//! One measured figure, as `target/bench.jsonl` holds it. What is measured is in `cases/`; the peer's part is filled in by the
//! script that runs both.

use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value};

/// Which side of the bar is good.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// Only what its peer says, which the runner compares it with.
    Beside,
}

/// One measured figure.
#[derive(Debug, Serialize)]
pub struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    bar: String,
    holds: bool,
    /// Everything else that was seen: latencies, CPU seconds, sizes.
    #[serde(flatten)]
    detail: Map<String, Value>,
}

impl Figure {
    /// A figure against its bar.
    pub fn new(name: &'static str, value: f64, unit: &'static str, bar: Bar) -> Self {
        let (bar, holds) = match bar {
            Bar::AtLeast(limit) => (format!(">= {limit}"), value >= limit),
            Bar::AtMost(limit) => (format!("<= {limit}"), value <= limit),
            Bar::Beside => (String::new(), true),
        };
        Self { name, value: rounded(value), unit, bar, holds, detail: Map::new() }
    }

    /// With something else that was seen.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::Number(it) if it.is_f64() => it.as_f64().map_or(Value::Null, |it| rounded(it).into()),
            other => other,
        };
        self.detail.insert(name.to_owned(), value);
        self
    }

    /// Prints it as one line of JSON.
    pub fn print(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, self)?;
        writeln!(out)?;
        Ok(())
    }
}

/// Four significant digits: more would pretend.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a double is a small number")]
    let digits = 3 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
