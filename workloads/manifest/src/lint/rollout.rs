//! Rollouts: what they name is there, and gates say what they ask. This version follows the breaker of a workload, and nothing else of
//! them; that is said once a package.

use rebar_model::{BreakerSpec, Gate, GateKind, GatePoint, OnTrip, Rollout};

use super::{Context, expressions, references};
use crate::{Code, Diagnostic, Place, document::Document};

/// Where a rollout stands in its document.
const PATH: [&str; 2] = ["spec", "rollout"];

pub(super) fn check(context: &mut Context<'_>) {
    let mut places: Vec<Place> = Vec::new();
    if let Some((document, workload)) = context.workload()
        && let Some(it) = &workload.spec.rollout
    {
        if !is_followed(it) {
            places.push(document.key_place(&PATH));
        }
        rollout(context, document, it);
    }
    for (_, document, manifest) in context.draft.typed() {
        if let Some(it) = &manifest.spec.rollout {
            places.push(document.key_place(&PATH));
            rollout(context, document, it);
        }
    }
    let mut places = places.into_iter();
    let Some(first) = places.next() else { return };
    let message = "the rollout is read and checked, and this version of Rebar follows nothing of it but the breaker of a workload";
    let help = "changes reach all nodes at once, as the graph allows; `concurrency: {perDeployment: 1}` has a role change one after another";
    let idle = Diagnostic::warning(Code::IdleRollout, first, message).help(help);
    context.push(places.fold(idle, |it, place| it.note(place, "nor this one")));
}

/// Whether all of it is followed: a breaker that holds.
fn is_followed(rollout: &Rollout) -> bool {
    let rest = Rollout { breaker: None, ..rollout.clone() };
    let holds = |it: &BreakerSpec| it.on_trip == OnTrip::Pause && !it.count_existing;
    rest == Rollout::default() && rollout.breaker.as_ref().is_some_and(holds)
}

fn rollout(context: &mut Context<'_>, document: &Document, rollout: &Rollout) {
    let place = |below: &[&str]| document.place(&[&PATH[..], below].concat());
    for (at, name) in rollout.order.iter().enumerate() {
        references::group(context, place(&["order", &at.to_string()]), name.as_str());
    }
    if let Some(quorum) = &rollout.quorum {
        references::role(context, place(&["quorum", "role"]), quorum.role.as_str());
    }
    if let Some(domain) = &rollout.failure_domain
        && domain.strip_prefix("node.labels.").is_none_or(str::is_empty)
    {
        let message = format!("`{domain}` is not a label of nodes");
        let help = "write `node.labels.NAME`, such as `node.labels.rack`";
        context.push(Diagnostic::error(Code::FailureDomain, place(&["failureDomain"]), message).help(help));
    }
    if let Some(selector) = rollout.canary.as_ref().and_then(|it| it.selector.as_ref()) {
        expressions::compile(context, &place(&["canary", "selector"]), selector, &["node"]);
    }
    for (at, it) in rollout.gates.iter().enumerate() {
        gate(context, document, &at.to_string(), it);
    }
}

fn gate(context: &mut Context<'_>, document: &Document, at: &str, gate: &Gate) {
    let place = |key: &str| document.place(&[&PATH[..], &["gates", at, key]].concat());
    match &gate.after {
        GatePoint::Group(name) => references::group(context, place("after"), name.as_str()),
        GatePoint::Role(name) => drop(references::role(context, place("after"), name.as_str())),
        GatePoint::Canary | GatePoint::Percent(_) => {}
    }
    if let Some(name) = &gate.role {
        references::role(context, place("role"), name.as_str());
    }
    if let Some(Err(why)) = gate.expr.as_deref().map(expressions::parse) {
        let message = "the expression is not CEL".to_owned();
        let help = "the expression of a gate is CEL over the answer";
        context.push(Diagnostic::error(Code::BadExpression, place("expr"), message).label(why).help(help));
    }
    keys(context, document, at, gate);
}

/// A gate has the keys of its type, and no others.
fn keys(context: &mut Context<'_>, document: &Document, at: &str, gate: &Gate) {
    let place = |key: &str| document.key_place(&[&PATH[..], &["gates", at, key]].concat());
    let (kind, needs, may): (_, Option<&str>, &[&str]) = match gate.kind {
        GateKind::Manual => ("manual", None, &["approvers"]),
        GateKind::Http => ("http", Some("url"), &["url", "expr"]),
        GateKind::Metric => ("metric", Some("query"), &["query", "expr"]),
        GateKind::Role => ("role", Some("role"), &["role"]),
    };
    let given = [
        ("url", gate.url.is_some()),
        ("query", gate.query.is_some()),
        ("expr", gate.expr.is_some()),
        ("role", gate.role.is_some()),
        ("approvers", !gate.approvers.is_empty()),
    ];
    if let Some(key) = needs.filter(|needed| given.iter().any(|(key, there)| key == needed && !there)) {
        let message = format!("a gate of type {kind} asks what `{key}` says, and there is none");
        let place = document.place(&[&PATH[..], &["gates", at, "type"]].concat());
        context.push(Diagnostic::error(Code::GateKey, place, message).help(format!("add `{key}` to the gate")));
    }
    for (key, _) in given.into_iter().filter(|(key, there)| *there && !may.contains(key)) {
        let message = format!("`{key}` has no effect on a gate of type {kind}");
        context.push(Diagnostic::warning(Code::NoEffect, place(key), message).help("take it away, or change the type"));
    }
}
