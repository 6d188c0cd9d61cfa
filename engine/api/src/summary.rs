//! What a committed change says to people: its kind, what it is about, and one line.

use rebar_model::{
    Attempt, AttemptKind, BreakerState, Change, Connection, Deployment, Intent, Mode, Node, NodeMode, NodeRoleStatus,
    Outcome, Record, State,
};
use serde_json::Value;

use crate::{types::EventView, words};

/// A committed change for people.
pub(crate) fn event(record: &Record) -> EventView {
    let change = serde_json::to_value(&record.change).unwrap_or(Value::Null);
    let kind = change.get("change").and_then(Value::as_str).unwrap_or("change").to_owned();
    let (subject, summary) = describe(&record.change);
    EventView {
        seq: record.seq,
        at: record.at,
        by: record.by.clone(),
        kind,
        deployment: record.change.deployment().cloned(),
        subject,
        summary,
        change,
    }
}

fn describe(change: &Change) -> (String, String) {
    let about = |subject: String, what: &str| {
        let line = format!("{subject} {what}");
        (subject, line)
    };
    match change {
        Change::EpochBegan { epoch } => (epoch.to_string(), format!("an engine leads with epoch {epoch}")),
        Change::NodePut { node } => about(format!("node {}", node.name), &node_words(node)),
        Change::NodeRemoved { name } => about(format!("node {name}"), "is forgotten"),
        Change::WorkloadImported { workload } => about(format!("workload {}", workload.reference()), "was imported"),
        Change::WorkloadRemoved { digest } => about(format!("workload {}", digest.short()), "is forgotten"),
        Change::ParameterSet { scope, name, parameter } => {
            let what = parameter.as_ref().map_or_else(
                || format!("is unset at {scope}"),
                |it| format!("is {} at {scope}", words::shown(&it.value)),
            );
            about(format!("parameter {name}"), &what)
        }
        Change::DeploymentPut { deployment } => {
            about(format!("deployment {}", deployment.name), &deployment_words(deployment))
        }
        Change::DeploymentRemoved { name } => about(format!("deployment {name}"), "is gone"),
        Change::RevisionAccepted { revision } => {
            let what = format!("is at revision {}: {} node-roles change", revision.no, revision.touched.len());
            about(format!("deployment {}", revision.deployment), &what)
        }
        Change::NodeRoleSpecified { spec } => about(spec.id.to_string(), "is wired"),
        Change::NodeRoleMoved { id, status } => about(id.to_string(), &moved_words(status)),
        Change::NodeRoleRemoved { id } => about(id.to_string(), "is forgotten"),
        Change::AttemptPut { attempt } => {
            about(format!("{}#{}", attempt.node_role, attempt.number), &attempt_words(attempt))
        }
        Change::ResourcePut { resource } if resource.observed.is_empty() => {
            about(format!("resource {}", resource.owner), "is wished for")
        }
        Change::ResourcePut { resource } => about(format!("resource {}", resource.owner), "is there"),
        Change::ResourceRemoved { id } => about(format!("resource {id}"), "is gone"),
        Change::AgentReleasePut { release } => {
            let platforms: Vec<_> = release.builds.keys().map(ToString::to_string).collect();
            about(format!("agent release {}", release.version), &format!("is there for {}", platforms.join(", ")))
        }
        Change::AgentPut { agent } => about(format!("agent of node {}", agent.node), &words::agent(agent)),
        Change::AgentUpgradePut { upgrade } => {
            about(format!("upgrade of the agents to {}", upgrade.version), &words::upgrade(&upgrade.state))
        }
        Change::EnrolTokenPut { token } => {
            let what = if token.used_at.is_some() { "was used" } else { "was made" };
            about(format!("enrolment token of node {}", token.node), what)
        }
        Change::EnrolTokenRemoved { hash } => about(format!("enrolment token {hash}"), "is forgotten"),
        Change::ApiTokenPut { token } => about(format!("token {} of {}", token.hash, token.name), "was made"),
        Change::ApiTokenRemoved { hash } => about(format!("token {hash}"), "was taken back"),
    }
}

fn node_words(node: &Node) -> String {
    let mode = match &node.mode {
        NodeMode::Ready => String::new(),
        NodeMode::Maintenance { reason } => format!(", in maintenance: {reason}"),
    };
    let connection = match node.connection {
        Connection::Never => "is expected",
        Connection::Here { .. } => "is here",
        Connection::Away { .. } => "is away",
    };
    format!("{connection}{mode}")
}

fn deployment_words(deployment: &Deployment) -> String {
    match &deployment.breaker.state {
        BreakerState::Closed => {}
        BreakerState::Open { evidence, .. } => return format!("is held by its breaker: {}", words::evidence(evidence)),
        BreakerState::HalfOpen { .. } => return "has its breaker half-open: one is tried".to_owned(),
    }
    match (&deployment.paused, deployment.mode) {
        (Some(reason), _) if reason.is_empty() => "is paused".to_owned(),
        (Some(reason), _) => format!("is paused: {reason}"),
        (None, Mode::Rebuilding) => "is being rebuilt".to_owned(),
        (None, Mode::Destroying) => "is being destroyed".to_owned(),
        (None, Mode::Converging) => format!("is wished for, revision {} stands", deployment.revision),
    }
}

fn moved_words(status: &NodeRoleStatus) -> String {
    let leaving = if status.intent == Intent::Present { "" } else { ", to be taken away" };
    match &status.state {
        State::Failed { failure, .. } => format!("failed{leaving}: {}", words::failure(failure)),
        state => format!("is {}{leaving}", state.word()),
    }
}

fn attempt_words(attempt: &Attempt) -> String {
    let kind = match attempt.kind {
        AttemptKind::Apply => "apply",
        AttemptKind::Replace => "replace",
        AttemptKind::Undo => "undo",
    };
    match (&attempt.outcome, attempt.accepted_at) {
        (Some(Outcome::Succeeded { converged: true, .. }), _) => format!("succeeded: {kind}, it was so already"),
        (Some(Outcome::Succeeded { note: Some(note), .. }), _) => format!("succeeded: {kind}, {note}"),
        (Some(Outcome::Succeeded { .. }), _) => format!("succeeded: {kind}"),
        (Some(Outcome::Failed(failure)), _) => format!("failed: {}", words::failure(failure)),
        (Some(Outcome::Cancelled), _) => "was cancelled".to_owned(),
        (None, Some(_)) => format!("is held by its agent: {kind}"),
        (None, None) => format!("was dispatched: {kind}"),
    }
}
