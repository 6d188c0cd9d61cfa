//! What the services beside the nodes have. Their listings are read by key, for each service draws its own; a key that is not
//! there leaves its cell empty.

use serde_json::Value;

use super::{Look, Table, Text, Tone, toned, words};
use rebar_api::types::ServiceName;

/// Draws what a service has.
pub fn render(service: ServiceName, listing: &Value, look: &Look) -> String {
    if listing.is_null() {
        return "this engine does not run that service\n".to_owned();
    }
    match service {
        ServiceName::Dns => dns(listing, look),
        ServiceName::Ipam => ipam(listing, look),
        ServiceName::Lb => lb(listing, look),
        ServiceName::Pki => pki(listing, look),
    }
}

/// The owners and names in a listing, one a line, for `-o name`.
pub fn names(service: ServiceName, listing: &Value) -> Vec<String> {
    let (outer, inner, key) = match service {
        ServiceName::Dns => ("zones", Some("records"), "name"),
        ServiceName::Ipam => ("pools", Some("claims"), "address"),
        ServiceName::Lb => ("vips", None, "endpoint"),
        ServiceName::Pki => ("certificates", None, "common_name"),
    };
    let items = items(listing, outer);
    match inner {
        Some(inner) => items.flat_map(|it| self::items(it, inner)).map(|it| text(it, key)).collect(),
        None => items.map(|it| text(it, key)).collect(),
    }
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// A cell: text as it is, lists joined, moments readable.
fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.parse().map_or_else(|_| text.clone(), words::moment),
        Some(Value::Array(items)) => items
            .iter()
            .map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(", "),
        Some(other) => other.to_string(),
    }
}

fn cells(value: &Value, keys: &[&str]) -> Vec<Text> {
    keys.iter().map(|key| text(value, key).into()).collect()
}

fn dns(listing: &Value, look: &Look) -> String {
    let mut table = Table::new(look, &["NAME", "TYPE", "TTL", "VALUES", "OWNERS"]);
    for record in items(listing, "zones").flat_map(|it| items(it, "records")) {
        table.row(cells(record, &["name", "record", "ttl", "values", "owners"]));
    }
    let zones: Vec<String> = items(listing, "zones").map(|it| text(it, "name")).collect();
    let line = format!("serves {} on {}", zones.join(", "), text(listing, "listen"));
    format!("{}{}\n", table.render(), look.paint(Tone::Quiet, &line))
}

fn ipam(listing: &Value, look: &Look) -> String {
    let mut table = Table::new(look, &["POOL", "USED", "FREE", "ADDRESS", "OWNER"]);
    for pool in items(listing, "pools") {
        let mut head = cells(pool, &["pool", "used", "free"]);
        let mut claims = items(pool, "claims").peekable();
        if claims.peek().is_none() {
            head.extend(["".into(), "".into()]);
            table.row(head);
            continue;
        }
        for claim in claims {
            let mut row = std::mem::replace(&mut head, vec![" ".into(), " ".into(), " ".into()]);
            row.extend(cells(claim, &["address", "owner"]));
            table.row(row);
        }
    }
    table.render()
}

fn lb(listing: &Value, look: &Look) -> String {
    let mut table = Table::new(look, &["VIP", "BACKEND", "HEALTH", "OPEN", "TOTAL", "OWNER", "ERROR"]);
    for vip in items(listing, "vips") {
        let mut row = cells(vip, &["endpoint"]);
        row.extend([" ".into(), " ".into()]);
        row.extend(cells(vip, &["open", "total", "owner"]));
        row.push(" ".into());
        table.row(row);
        for backend in items(vip, "backends") {
            let mut row: Vec<Text> = vec![" ".into()];
            row.extend(cells(backend, &["endpoint"]));
            row.push(health(&text(backend, "health")));
            row.extend(cells(backend, &["open", "total", "owner", "error"]));
            table.row(row);
        }
    }
    table.render()
}

fn health(word: &str) -> Text {
    let tone = match word {
        "up" => Tone::Good,
        "down" => Tone::Bad,
        "draining" | "suspect" => Tone::Change,
        _ => Tone::Quiet,
    };
    toned(tone, word)
}

fn pki(listing: &Value, look: &Look) -> String {
    let mut table = Table::new(look, &["KIND", "NAME", "UNTIL", "AUTHORITY", "OWNER"]);
    for ca in items(listing, "authorities") {
        table.row(vec![
            "ca".into(),
            text(ca, "common_name").into(),
            text(ca, "not_after").into(),
            " ".into(),
            text(ca, "owner").into(),
        ]);
    }
    for certificate in items(listing, "certificates") {
        let mut row: Vec<Text> = vec!["cert".into()];
        row.extend(cells(certificate, &["common_name", "not_after", "authority", "owner"]));
        table.row(row);
    }
    table.render()
}
