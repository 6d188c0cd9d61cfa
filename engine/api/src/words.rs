//! Words for people: standings, reasons, failures, differences of a plan. Said once here, so that the command line, the stream of
//! events and explanations speak alike.

use rebar_model::{
    Action, Agent, Difference, Evidence, Failure, FailureKind, NodeRoleId, PlanStep, Reason, StepState, UpgradeState,
};
use serde_json::Value;

use crate::{limits::SHOWN, mask::mask};

/// The kind of a reason, as in its JSON.
pub fn reason_kind(reason: &Reason) -> &'static str {
    match reason {
        Reason::UpstreamFailed { .. } => "upstream-failed",
        Reason::UpstreamWaiting { .. } => "upstream-waiting",
        Reason::InputMissing { .. } => "input-missing",
        Reason::LockHeld { .. } => "lock-held",
        Reason::ConcurrencyLimit { .. } => "concurrency-limit",
        Reason::NodeAway { .. } => "node-away",
        Reason::NodeMaintenance { .. } => "node-maintenance",
        Reason::Paused { .. } => "paused",
        Reason::BreakerOpen { .. } => "breaker-open",
        Reason::BreakerTries { .. } => "breaker-tries",
        Reason::BackOff { .. } => "back-off",
        Reason::Failed { .. } => "failed",
        Reason::Running { .. } => "running",
        Reason::DependantsFirst { .. } => "dependants-first",
        Reason::UpstreamChanging { .. } => "upstream-changing",
        Reason::InputsChanged => "inputs-changed",
    }
}

/// A reason in one line.
pub fn reason(reason: &Reason) -> String {
    match reason {
        Reason::UpstreamFailed { root } => format!("{} has failed", root.local()),
        Reason::UpstreamWaiting { unmet, count } => format!("waits for {}", several(unmet, *count)),
        Reason::InputMissing { input, detail } => format!("input {input} has no value: {detail}"),
        Reason::LockHeld { lock, holder } => format!("lock {lock} is held by {}", holder.local()),
        Reason::ConcurrencyLimit { limit } => format!("{limit} of its role are running, which is the limit"),
        Reason::NodeAway { node, since: Some(since) } => format!("node {node} is away since {since:.0}"),
        Reason::NodeAway { node, since: None } => format!("node {node} never came"),
        Reason::NodeMaintenance { node, reason } => format!("node {node} is in maintenance: {reason}"),
        Reason::Paused { reason } if reason.is_empty() => "the deployment is paused".to_owned(),
        Reason::Paused { reason } => format!("the deployment is paused: {reason}"),
        Reason::BreakerOpen { evidence, .. } => format!("the breaker is open: {}", self::evidence(evidence)),
        Reason::BreakerTries { probe } => format!("the breaker lets {} through, and nothing else yet", probe.local()),
        Reason::BackOff { until, tries } => format!("failed {tries} times in a row, next try at {until:.0}"),
        Reason::Failed { number, failure, .. } => format!("attempt {number} failed: {}", self::failure(failure)),
        Reason::Running { number, phase: Some(phase), .. } => format!("attempt {number} is in {phase}"),
        Reason::Running { number, .. } => format!("attempt {number} is under way"),
        Reason::DependantsFirst { dependants } => {
            format!("{} is taken away first", several(dependants, dependants.len()))
        }
        Reason::UpstreamChanging { id } => format!("{} is being run again", id.local()),
        Reason::InputsChanged => "its role or inputs changed".to_owned(),
    }
}

/// Why a breaker is open, in one line.
pub fn evidence(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Consecutive { failures: 1, attempt } => format!("an attempt failed, attempt {attempt}"),
        Evidence::Consecutive { failures, attempt } => {
            format!("{failures} attempts failed in a row, the last is attempt {attempt}")
        }
        Evidence::Failed { nodes, allowed, attempt } => {
            let nodes = if *nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") };
            format!("attempts failed on {nodes}, and {allowed} may fail; the last is attempt {attempt}")
        }
        Evidence::Probe { attempt } => format!("what was let through to try failed, attempt {attempt}"),
        Evidence::Manual { reason } if reason.is_empty() => "a person opened it".to_owned(),
        Evidence::Manual { reason } => format!("a person opened it: {reason}"),
    }
}

/// What an agent is, and where it stands in an upgrade, in one line.
pub fn agent(agent: &Agent) -> String {
    let version =
        agent.version.as_ref().map_or_else(|| "something else than a version".to_owned(), ToString::to_string);
    match agent.step.as_ref().map(|it| &it.state) {
        None => format!("is {version}"),
        Some(StepState::Told { .. }) => format!("is {version}, and was told of another release"),
        Some(StepState::Watched { .. }) => format!("is {version}, and is watched"),
        Some(StepState::Done { .. }) => format!("is {version}, and stayed"),
        Some(StepState::Failed { failure, .. }) => format!("is {version}: {failure}"),
    }
}

/// Whether an upgrade of the agents goes on, in one line.
pub fn upgrade(state: &UpgradeState) -> String {
    match state {
        UpgradeState::Running => "goes on".to_owned(),
        UpgradeState::Held { node, failure, .. } => format!("is held by node {node}: {failure}"),
        UpgradeState::Stopped { by, .. } => format!("was stopped by {by}"),
        UpgradeState::Done { .. } => "is done".to_owned(),
    }
}

/// A failure in one line.
pub fn failure(failure: &Failure) -> String {
    let kind = match failure.kind {
        FailureKind::Error => None,
        FailureKind::Timeout => Some("out of time"),
        FailureKind::Tempfail => Some("asked to be tried again"),
        FailureKind::AgentLost => Some("its agent was lost"),
        FailureKind::BadOutputs => Some("wrong outputs"),
        FailureKind::Setup => Some("could not be started"),
    };
    let phase = failure.phase.map(|it| it.to_string());
    let exit = failure.exit_code.map(|it| format!("exit code {it}"));
    let parts = [phase, kind.map(str::to_owned), exit, (!failure.message.is_empty()).then(|| failure.message.clone())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Why a step of a plan is there, one line each.
pub fn step(step: &PlanStep) -> Vec<String> {
    if !step.differences.is_empty() {
        return step.differences.iter().map(difference).collect();
    }
    let why = match step.action {
        Action::Create => "new",
        Action::Change => "changed",
        Action::Maybe => "something upstream runs; this runs again only if its inputs change",
        Action::Keep => "up to date",
        Action::Retire => "no longer wanted",
        Action::Forget => "its node is gone",
    };
    vec![why.to_owned()]
}

/// A difference in one line.
pub fn difference(difference: &Difference) -> String {
    let values = match (&difference.before, &difference.after) {
        (None, None) => String::new(),
        (None, Some(after)) => format!(": {}", shown(after)),
        (Some(before), None) => format!(": {} → none", shown(before)),
        (Some(before), Some(after)) => format!(": {} → {}", shown(before), shown(after)),
    };
    let origin = difference.origin.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
    format!("{}{values}{origin}", difference.what)
}

/// A value in a line: short, and without secrets.
pub fn shown(value: &Value) -> String {
    let text = match mask(value) {
        Value::Object(fields) if fields.contains_key("secret") => "(secret)".to_owned(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    shortened(&text, SHOWN)
}

/// The first line of a text, at most so long.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut = line.chars().count() > most || line.len() < text.trim_end().len();
    let line: String = line.chars().take(most).collect();
    if cut { line + "…" } else { line }
}

fn several(ids: &[NodeRoleId], count: usize) -> String {
    match ids {
        [] => "others".to_owned(),
        [one] if count <= 1 => one.local(),
        [first, ..] => format!("{} and {} more", first.local(), count.saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use rebar_model::{Phase, Standing};
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_are_those_of_the_json() {
        let reason = Reason::ConcurrencyLimit { limit: 2 };
        assert_eq!(serde_json::to_value(&reason).unwrap()["is"], reason_kind(&reason));
        assert_eq!(serde_json::to_value(Standing::Undoing).unwrap(), Standing::Undoing.word());
    }

    #[test]
    fn lines_are_short_and_hide_secrets() {
        assert_eq!(shown(&json!({"$secret": "abcdefgh01"})), "(secret)");
        assert_eq!(shown(&json!("a\nb")), "a…");
        assert_eq!(shown(&json!("x".repeat(80))).chars().count(), SHOWN + 1);
        let failure = Failure {
            kind: FailureKind::Timeout,
            phase: Some(Phase::Verify),
            exit_code: None,
            message: "no answer".to_owned(),
            retry_after: None,
        };
        assert_eq!(super::failure(&failure), "verify, out of time, no answer");
    }
}
