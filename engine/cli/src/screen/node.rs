//! Lists of nodes, and one node with what its agent reported.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use rebar_api::types::{EnrolmentView, NodeStanding, NodeView};
use rebar_model::{Connection, Facts, NodeMode, ProviderKind};

use super::{Look, Table, Text, Tone, ordered, toned, words};

/// The word for a provider.
pub fn provider(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::Docker => "docker",
        ProviderKind::Join => "join",
        ProviderKind::Namespace => "namespace",
    }
}

/// The word for a node, and its tone.
pub fn standing(standing: NodeStanding) -> (&'static str, Tone) {
    match standing {
        NodeStanding::Ready => ("ready", Tone::Good),
        NodeStanding::Expected => ("expected", Tone::Quiet),
        NodeStanding::Away => ("away", Tone::Person),
        NodeStanding::Maintenance => ("maintenance", Tone::Change),
    }
}

/// Draws a list of nodes.
pub fn list(nodes: &[NodeView], now: Timestamp, look: &Look) -> Table {
    let mut head = vec!["NODE", "STATE", "SINCE", "ADDRESS", "PROVIDER", "LABELS", "DEPLOYMENTS"];
    if look.is_wide() {
        head.extend(["OS", "CPU", "MEMORY", "PROFILES", "AGENT", "RUNNING"]);
    }
    let mut table = Table::new(look, &head).or("no nodes: rebar node add NAME\n");
    for it in nodes {
        let (word, tone) = standing(it.standing);
        let mut row: Vec<Text> = vec![
            (&it.node.name).into(),
            toned(tone, word),
            since(&it.node.connection)
                .map_or_else(|| "".into(), |at| ordered(words::seconds(at, now), words::ago(at, now))),
            it.address.map(|it| it.to_string()).unwrap_or_default().into(),
            provider(it.node.provider).into(),
            labels(&it.node.labels).into(),
            joined(it.deployments.iter().map(rebar_model::DeploymentName::as_str)).into(),
        ];
        if look.is_wide() {
            row.extend(facts_cells(it));
        }
        table.row(row);
    }
    table
}

fn facts_cells(view: &NodeView) -> Vec<Text> {
    let facts = view.node.facts.as_ref();
    let text = |of: fn(&Facts) -> String| Text::from(facts.map(of).unwrap_or_default());
    vec![
        text(|it| format!("{} {}", it.os.id, it.os.version)),
        text(|it| it.cpu.count.to_string()),
        facts.map_or_else(|| "".into(), |it| ordered(it.memory_mb, format!("{} MiB", it.memory_mb))),
        joined(view.node.profiles.iter().map(rebar_model::ProfileName::as_str)).into(),
        text(|it| it.agent_version.clone()),
        view.running.into(),
    ]
}

fn since(connection: &Connection) -> Option<Timestamp> {
    match connection {
        Connection::Never => None,
        Connection::Here { since } | Connection::Away { since } => Some(*since),
    }
}

/// `rack=b2,gpu=`.
fn labels(labels: &BTreeMap<String, String>) -> String {
    joined(labels.iter().map(|(key, value)| format!("{key}={value}")))
}

fn joined(items: impl Iterator<Item: AsRef<str>>) -> String {
    items.map(|it| it.as_ref().to_owned()).collect::<Vec<_>>().join(",")
}

/// Draws one node.
pub fn show(view: &NodeView, now: Timestamp, look: &Look) -> String {
    let node = &view.node;
    let (word, tone) = standing(view.standing);
    let mut out = format!("{}  {}", look.paint(Tone::Strong, node.name.as_str()), look.paint(tone, word));
    match &node.connection {
        Connection::Never => out.push_str("  its agent never came\n"),
        Connection::Here { since } => {
            let _ = writeln!(out, "  its agent is here since {}", words::between(*since, now));
        }
        Connection::Away { since } => {
            let _ = writeln!(out, "  its agent is away since {}", words::between(*since, now));
        }
    }
    let mut line = |key: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(out, "  {}  {value}", look.paint(Tone::Quiet, &words::pad(key, 12)));
        }
    };
    if let NodeMode::Maintenance { reason } = &node.mode {
        line("maintenance", reason.clone());
    }
    line(
        "provider",
        provider(node.provider).to_owned()
            + &node.machine.as_ref().map(|it| format!(", machine {it}")).unwrap_or_default(),
    );
    line("labels", labels(&node.labels));
    line("profiles", joined(node.profiles.iter().map(rebar_model::ProfileName::as_str)));
    line("deployments", joined(view.deployments.iter().map(rebar_model::DeploymentName::as_str)));
    line("running", if view.running == 0 { String::new() } else { words::count(view.running, "node-role") });
    line("added", words::moment(node.added_at));
    if let Some(facts) = &node.facts {
        self::facts(facts, &mut line);
    }
    out
}

fn facts(facts: &Facts, line: &mut impl FnMut(&str, String)) {
    line("address", facts.addresses.primary.map(|it| it.to_string()).unwrap_or_default());
    line("os", format!("{}, kernel {}", facts.os.name, facts.os.kernel));
    line("machine", format!("{}, {} CPUs, {} MiB memory", facts.arch, facts.cpu.count, facts.memory_mb));
    line("virtual", facts.virtualization.clone());
    line("init", facts.init.clone());
    line("disks", joined(facts.disks.iter().map(|it| format!("{} {} GB", it.name, it.size_bytes / 1_000_000_000))));
    line("nics", joined(facts.nics.iter().map(|it| format!("{} {}", it.name, it.addresses.join(" ")))));
    line("agent", facts.agent_version.clone());
}

/// Draws what a new agent enrols with.
pub fn enrolment(view: &EnrolmentView, look: &Look) -> String {
    let until = look.paint(Tone::Quiet, &format!("good once, until {}", words::moment(view.expires_at)));
    format!("{}\n{until}\n", view.instruction)
}
