//! Operators' tokens.

use jiff::Timestamp;
use rebar_api::types::TokenView;

use super::{Look, Table, Text, Tone, ordered, toned, words};

/// Draws tokens.
pub fn list(tokens: &[TokenView], now: Timestamp, look: &Look) -> Table {
    let mut table = Table::new(look, &["TOKEN", "NAME", "MADE", "UNTIL", ""]);
    for it in tokens {
        let until = match it.expires_at {
            None => Text::from("no end"),
            Some(at) if at <= now => toned(Tone::Bad, "expired"),
            Some(at) => words::moment(at).into(),
        };
        table.row(vec![
            it.id.0.short().into(),
            (&it.name).into(),
            ordered(words::seconds(it.created_at, now), words::ago(it.created_at, now)),
            until,
            if it.current { toned(Tone::Good, "yours") } else { Text::from(" ") },
        ]);
    }
    table
}
