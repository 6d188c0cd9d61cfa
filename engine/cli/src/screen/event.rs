//! Events, a line each.

use rebar_api::types::EventView;

use super::{Look, Tone, words};

/// Draws one event.
pub fn line(event: &EventView, look: &Look) -> String {
    let at = words::moment(event.at);
    let place = look.paint(Tone::Quiet, &format!("{:>7}  {at}", event.seq.0));
    let by = look.paint(Tone::Quiet, &format!("({})", event.by));
    let kind = if look.is_wide() { format!("{}  ", event.kind) } else { String::new() };
    format!("{place}  {kind}{}  {by}\n", event.summary)
}
