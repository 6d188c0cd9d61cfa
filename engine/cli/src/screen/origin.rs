//! Where a value comes from, through every hop: its levels with the deciding one marked, or the node-roles that produced it.

use std::fmt::Write as _;

use rebar_api::types::{ValueLayer, ValueOrigin, ValueProducer};

use super::{Look, Tone, words};

/// How deep producers are shown, unless more detail was asked for.
const MAX_DEPTH: usize = 2;

/// Draws where a value comes from.
pub fn render(origin: &ValueOrigin, look: &Look) -> String {
    let mut out =
        format!("{} = {}\n", look.paint(Tone::Strong, origin.input.as_str()), value(origin.value.as_ref(), look));
    let _ = writeln!(out, "  {}", look.paint(Tone::Quiet, &format!("of {}: {}", origin.id.local(), origin.origin)));
    out.push_str(&layers(&origin.layers, look));
    for producer in &origin.producers {
        self::producer(&mut out, producer, 1, look);
    }
    out
}

fn value(value: Option<&serde_json::Value>, look: &Look) -> String {
    value.map_or_else(|| "(not known yet)".to_owned(), |it| words::value(it, look))
}

fn layers(layers: &[ValueLayer], look: &Look) -> String {
    let level = layers.iter().map(|it| words::columns(&it.level)).max().unwrap_or(0);
    let values: Vec<String> = layers
        .iter()
        .map(|it| it.value.as_ref().map_or_else(|| look.none().to_owned(), |it| words::value(it, look)))
        .collect();
    let width = values.iter().map(|it| words::columns(it)).max().unwrap_or(0);
    let mut out = String::new();
    for (layer, value) in layers.iter().zip(values) {
        let mark = if layer.wins { look.pick("▶", ">") } else { " " };
        let by = layer.by.as_ref().map(|it| format!("  {it}")).unwrap_or_default();
        let at = layer.at.map(|it| format!("  {}", words::moment(it))).unwrap_or_default();
        let line = format!("{mark} {}  {}{by}{at}", words::pad(&layer.level, level), words::pad(&value, width));
        let tone = if layer.wins { Tone::Strong } else { Tone::Quiet };
        let _ = writeln!(out, "{}", look.paint(tone, line.trim_end()));
    }
    out
}

fn producer(out: &mut String, producer: &ValueProducer, depth: usize, look: &Look) {
    let pad = "  ".repeat(depth);
    let attempt = producer.attempt.map(|it| format!("  by {it}")).unwrap_or_default();
    let shown = value(producer.value.as_ref(), look);
    let hook = look.pick("└", "`-");
    let _ = writeln!(
        out,
        "{pad}{hook} {}.{} = {shown}{}",
        producer.id.local(),
        producer.output,
        look.paint(Tone::Quiet, &attempt)
    );
    if depth >= MAX_DEPTH && !look.is_wide() {
        if !producer.inputs.is_empty() {
            let text = format!("made of {} (-v follows them)", words::count(producer.inputs.len(), "input"));
            let _ = writeln!(out, "{pad}    {}", look.paint(Tone::Quiet, &text));
        }
        return;
    }
    for input in &producer.inputs {
        let _ = writeln!(
            out,
            "{pad}    {} = {}  {}",
            input.input,
            value(input.value.as_ref(), look),
            look.paint(Tone::Quiet, &format!("({})", input.origin))
        );
        for next in &input.producers {
            self::producer(out, next, depth + 2, look);
        }
    }
}
