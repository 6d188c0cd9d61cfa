//! Where the wire meets the model, and nowhere else: what comes from an agent is checked and becomes the engine's own types, what
//! the engine says becomes messages. Nothing here is sent or stored.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use prost::Message;
use rebar_model::{
    AttemptId, AttemptKind, Digest, Epoch, Facts, Failure, FailureKind, Ident, NodeName, Phase, RebootPolicy, Report,
    Span, UpgradeFailure, UpgradeNo, UpgradeReport,
};
use rebar_ports::{AgentCommand, AgentHello, LogChunk, PhaseWork, UpgradeOrder, Work};
use rebar_proto::{MAX_CHUNK, MAX_MESSAGE, MAX_OUTPUTS, v1};
use serde_json::Value;
use v1::{agent_message, attempt_result, engine_message};

use crate::{
    lanes::{Job, Stored},
    limits::{FACTS, HELD, LINE, RETRY_AFTER, SHORT_TEXT},
};

/// What an agent said breaks the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub(crate) struct Invalid {
    what: &'static str,
    why: String,
}

fn invalid<T>(what: &'static str, why: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid { what, why: why.into() })
}

/// A message that the decoder did not take.
pub(crate) fn undecodable(why: &str) -> Invalid {
    Invalid { what: "message", why: line(why) }
}

// ---------------------------------------------------------------- agent to engine

/// What an agent says after its hello: something to be done by the engine, or a mere sign of life.
pub(crate) fn job(message: v1::AgentMessage, now: Timestamp) -> Result<Option<Job>, Invalid> {
    use agent_message::Body;
    Ok(Some(match message.body {
        Some(Body::Facts(it)) => Job::Facts(Box::new(facts(&it)?)),
        Some(Body::Started(it)) => Job::Started(attempt(it.attempt)?),
        Some(Body::Log(it)) => Job::Log(log(it, now)?),
        Some(Body::Progress(it)) => Job::Progress {
            attempt: attempt(it.attempt)?,
            phase: phase(it.phase)?,
            percent: it.percent.min(100),
            text: line(&it.text),
        },
        Some(Body::Result(it)) => Job::Ended(attempt(it.attempt)?, Box::new(report(it)?)),
        Some(Body::UpgradeFailed(it)) => Job::UpgradeFailed(Box::new(upgrade_failed(it)?)),
        Some(Body::Heartbeat(_)) => return Ok(None),
        Some(Body::Hello(_)) => return invalid("hello", "said twice"),
        None => return invalid("message", "empty, or newer than this engine"),
    }))
}

/// The first message of a session.
pub(crate) fn hello(message: v1::AgentMessage) -> Result<AgentHello, Invalid> {
    let Some(agent_message::Body::Hello(hello)) = message.body else {
        return invalid("hello", "the first message of a session must be hello");
    };
    if hello.held.len() > HELD {
        return invalid("held", format!("more than {HELD} attempts"));
    }
    Ok(AgentHello {
        agent_version: short("agent_version", hello.agent_version)?,
        boot_id: short("boot_id", hello.boot_id)?,
        epoch: Epoch(storable("epoch", hello.epoch)?),
        held: hello.held.iter().map(|it| attempt(it.attempt)).collect::<Result<_, _>>()?,
        upgrade: hello.upgrade_failed.map(upgrade_failed).transpose()?,
    })
}

fn upgrade_failed(failed: v1::UpgradeFailed) -> Result<UpgradeReport, Invalid> {
    let reason = line(&failed.reason);
    let failure = match v1::UpgradeFailure::try_from(failed.failure) {
        Ok(v1::UpgradeFailure::Refused) => UpgradeFailure::Refused { reason },
        Ok(v1::UpgradeFailure::RolledBack) => UpgradeFailure::RolledBack { reason },
        Ok(v1::UpgradeFailure::Unspecified) | Err(_) => return invalid("upgrade_failed.failure", "unknown"),
    };
    Ok(UpgradeReport { upgrade: UpgradeNo(storable("upgrade", failed.upgrade)?), failure })
}

/// A digest as agents write it.
pub(crate) fn digest(text: &str) -> Result<Digest, Invalid> {
    text.parse().or_else(|_| invalid("digest", "must be 64 hexadecimal digits"))
}

fn facts(message: &v1::Facts) -> Result<Facts, Invalid> {
    if message.json.len() > FACTS {
        return invalid("facts", format!("larger than {FACTS} bytes"));
    }
    let value: Value = serde_json::from_str(&message.json).or_else(|it| invalid("facts", it.to_string()))?;
    if !value.is_object() {
        return invalid("facts", "must be one JSON object");
    }
    serde_json::from_value(printable(value)).or_else(|it| invalid("facts", line(&it.to_string())))
}

/// Facts end up on terminals and in databases, where control characters do harm.
fn printable(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(line(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(printable).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, it)| (key, printable(it))).collect()),
        other => other,
    }
}

fn log(chunk: v1::LogChunk, now: Timestamp) -> Result<LogChunk, Invalid> {
    if chunk.data.len() > MAX_CHUNK {
        return invalid("log", format!("a chunk larger than {MAX_CHUNK} bytes"));
    }
    let bytes = chunk.data.len() as u64;
    storable("log.offset", chunk.offset.saturating_add(bytes))?;
    Ok(LogChunk {
        attempt: attempt(chunk.attempt)?,
        offset: chunk.offset,
        phase: phase(chunk.phase)?,
        at: chunk.at.map_or(Ok(now), timestamp)?,
        // PostgreSQL refuses NUL in text, and a terminal has no use for it.
        text: String::from_utf8_lossy(&chunk.data).replace('\0', "\u{fffd}"),
        bytes,
        lost: storable("log.lost", chunk.lost)?,
    })
}

fn report(result: v1::AttemptResult) -> Result<Report, Invalid> {
    match result.outcome {
        Some(attempt_result::Outcome::Succeeded(it)) => Ok(match outputs(&it.outputs_json) {
            Ok(outputs) => Report::Succeeded { outputs, converged: it.converged, note: note(&it.note) },
            // The author of the role made the mistake, not the agent: ending the session would only bring it again.
            Err(why) => Report::Failed(failure(FailureKind::BadOutputs, why)),
        }),
        Some(attempt_result::Outcome::Failed(it)) => failed(it),
        None => invalid("result", "neither succeeded nor failed"),
    }
}

/// The outputs of a role. What is wrong is said without a value: any of them may be a secret.
fn outputs(json: &str) -> Result<BTreeMap<Ident, Value>, String> {
    if json.len() > MAX_OUTPUTS {
        return Err(format!("the outputs are larger than {MAX_OUTPUTS} bytes"));
    }
    if json.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let value = serde_json::from_str(json).map_err(|it| format!("the outputs are not JSON: {it}"))?;
    let Value::Object(map) = value else { return Err("the outputs are not one JSON object".to_owned()) };
    map.into_iter()
        .map(|(name, value)| {
            let name = Ident::new(&name).map_err(|it| format!("the outputs: {}", line(&it.to_string())))?;
            Ok((name, value))
        })
        .collect()
}

fn failed(failed: v1::Failed) -> Result<Report, Invalid> {
    let kind = match v1::FailureKind::try_from(failed.kind) {
        Ok(v1::FailureKind::Error) => FailureKind::Error,
        Ok(v1::FailureKind::Timeout) => FailureKind::Timeout,
        Ok(v1::FailureKind::Tempfail) => FailureKind::Tempfail,
        Ok(v1::FailureKind::BadOutputs) => FailureKind::BadOutputs,
        Ok(v1::FailureKind::Setup) => FailureKind::Setup,
        Ok(v1::FailureKind::Cancelled) => return Ok(Report::Cancelled),
        Ok(v1::FailureKind::Unspecified) | Err(_) => return invalid("failed.kind", "unknown"),
    };
    Ok(Report::Failed(Failure {
        kind,
        phase: phase(failed.phase)?,
        exit_code: failed.exit_code,
        message: line(&failed.message),
        retry_after: failed.retry_after.map(span).transpose()?,
    }))
}

fn failure(kind: FailureKind, message: String) -> Failure {
    Failure { kind, phase: None, exit_code: None, message, retry_after: None }
}

fn attempt(number: u64) -> Result<AttemptId, Invalid> {
    storable("attempt", number).map(AttemptId)
}

/// Databases have no unsigned numbers.
fn storable(what: &'static str, number: u64) -> Result<u64, Invalid> {
    if i64::try_from(number).is_ok() { Ok(number) } else { invalid(what, "too large a number") }
}

fn phase(number: i32) -> Result<Option<Phase>, Invalid> {
    Ok(match v1::Phase::try_from(number) {
        Ok(v1::Phase::Unspecified) => None,
        Ok(v1::Phase::Check) => Some(Phase::Check),
        Ok(v1::Phase::Drain) => Some(Phase::Drain),
        Ok(v1::Phase::Apply) => Some(Phase::Apply),
        Ok(v1::Phase::Verify) => Some(Phase::Verify),
        Ok(v1::Phase::Undo) => Some(Phase::Undo),
        Err(_) => return invalid("phase", "unknown"),
    })
}

fn timestamp(at: prost_types::Timestamp) -> Result<Timestamp, Invalid> {
    Timestamp::new(at.seconds, at.nanos).or_else(|_| invalid("timestamp", "no such moment"))
}

fn span(length: prost_types::Duration) -> Result<Span, Invalid> {
    let length = Duration::try_from(length).or_else(|_| invalid("duration", "negative, or too long"))?;
    Ok(Span::from_millis(u64::try_from(length.min(RETRY_AFTER).as_millis()).unwrap_or(u64::MAX)))
}

fn short(what: &'static str, text: String) -> Result<String, Invalid> {
    if text.len() <= SHORT_TEXT && text.bytes().all(|it| it.is_ascii_graphic()) {
        Ok(text)
    } else {
        invalid(what, format!("must be at most {SHORT_TEXT} printable ASCII characters"))
    }
}

/// One line for people: no control characters, and not too long.
fn line(text: &str) -> String {
    let mut line = text.trim().replace(char::is_control, " ");
    line.truncate(line.floor_char_boundary(LINE));
    line
}

fn note(text: &str) -> Option<String> {
    Some(line(text)).filter(|it| !it.is_empty())
}

// ---------------------------------------------------------------- engine to agent

/// The answer to hello.
pub(crate) fn welcome(epoch: Epoch, node: &NodeName) -> v1::EngineMessage {
    message(engine_message::Body::Welcome(v1::Welcome { epoch: epoch.0, node: node.to_string() }))
}

/// A question for a sign of life.
pub(crate) fn ping() -> v1::EngineMessage {
    message(engine_message::Body::Ping(v1::Ping {}))
}

/// What is said when something that the agent reported is durable; nothing for what needs no word.
pub(crate) fn stored(stored: Stored) -> Option<v1::EngineMessage> {
    Some(message(match stored {
        Stored::Quietly => return None,
        Stored::Result(attempt) => engine_message::Body::ResultAck(v1::ResultAck { attempt: attempt.0 }),
        Stored::Log(attempt, offset) => engine_message::Body::LogAck(v1::LogAck { attempt: attempt.0, offset }),
    }))
}

/// A command that no message can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the inputs make a message of {size} bytes; at most {MAX_MESSAGE} can be sent")]
pub(crate) struct TooLarge {
    /// Which attempt was to be dispatched.
    pub(crate) attempt: AttemptId,
    size: usize,
}

/// The end of the attempt, of which the agent never hears.
impl From<TooLarge> for Job {
    fn from(error: TooLarge) -> Self {
        Self::Ended(error.attempt, Box::new(Report::Failed(failure(FailureKind::Setup, error.to_string()))))
    }
}

/// What the engine says to an agent.
pub(crate) fn command(command: AgentCommand) -> Result<v1::EngineMessage, TooLarge> {
    Ok(message(match command {
        AgentCommand::Dispatch(work) => {
            let attempt = work.attempt;
            let message = message(engine_message::Body::Dispatch(dispatch(*work)));
            let size = message.encoded_len();
            return if size <= MAX_MESSAGE { Ok(message) } else { Err(TooLarge { attempt, size }) };
        }
        AgentCommand::Cancel { attempt, epoch } => {
            engine_message::Body::Cancel(v1::Cancel { attempt: attempt.0, epoch: epoch.0 })
        }
        AgentCommand::Upgrade(order) => engine_message::Body::Upgrade(upgrade(*order)),
        AgentCommand::ResultStored { attempt } => engine_message::Body::ResultAck(v1::ResultAck { attempt: attempt.0 }),
        AgentCommand::LogStored { attempt, offset } => {
            engine_message::Body::LogAck(v1::LogAck { attempt: attempt.0, offset })
        }
    }))
}

fn message(body: engine_message::Body) -> v1::EngineMessage {
    v1::EngineMessage { body: Some(body) }
}

fn upgrade(order: UpgradeOrder) -> v1::Upgrade {
    v1::Upgrade {
        upgrade: order.upgrade.0,
        epoch: order.epoch.0,
        content: order.content.to_string(),
        statement: order.signed.statement,
        key: order.signed.key.to_string(),
        signature: order.signed.signature.to_string(),
    }
}

fn dispatch(work: Work) -> v1::Dispatch {
    let names = |names: &[Ident]| names.iter().map(ToString::to_string).collect();
    let inputs: serde_json::Map<_, _> = work.inputs.into_iter().map(|(name, it)| (name.to_string(), it)).collect();
    v1::Dispatch {
        attempt: work.attempt.0,
        epoch: work.epoch.0,
        node_role: work.node_role.to_string(),
        content: work.content.to_string(),
        phases: work.phases.into_iter().map(phase_work).collect(),
        inputs_json: Value::Object(inputs).to_string(),
        secret_inputs: names(&work.secret_inputs),
        secret_outputs: names(&work.secret_outputs),
        shell: work.shell.unwrap_or_default(),
        user: work.user.unwrap_or_default(),
        deadline: Some(prost_timestamp(work.deadline)),
        kind: attempt_kind(work.kind).into(),
        templates: work.templates.into_iter().map(|(path, target)| v1::Template { path, target }).collect(),
        reboot: reboot_policy(work.reboot).into(),
    }
}

fn attempt_kind(kind: AttemptKind) -> v1::AttemptKind {
    match kind {
        AttemptKind::Apply => v1::AttemptKind::Apply,
        AttemptKind::Replace => v1::AttemptKind::Replace,
        AttemptKind::Undo => v1::AttemptKind::Undo,
    }
}

fn reboot_policy(policy: RebootPolicy) -> v1::RebootPolicy {
    match policy {
        RebootPolicy::Never => v1::RebootPolicy::Never,
        RebootPolicy::Allowed => v1::RebootPolicy::Allowed,
        RebootPolicy::Always => v1::RebootPolicy::Always,
    }
}

fn phase_work(work: PhaseWork) -> v1::PhaseWork {
    let phase = match work.phase {
        Phase::Check => v1::Phase::Check,
        Phase::Drain => v1::Phase::Drain,
        Phase::Apply => v1::Phase::Apply,
        Phase::Verify => v1::Phase::Verify,
        Phase::Undo => v1::Phase::Undo,
    };
    v1::PhaseWork {
        phase: phase.into(),
        run: work.run,
        timeout: Some(prost_duration(work.timeout)),
        every: work.every.map(prost_duration),
        successes: work.successes,
        env: work.env.into_iter().collect(),
    }
}

fn prost_timestamp(at: Timestamp) -> prost_types::Timestamp {
    // Protobuf counts nanoseconds forwards, also before 1970.
    let (seconds, nanos) = (at.as_second(), at.subsec_nanosecond());
    if nanos < 0 {
        prost_types::Timestamp { seconds: seconds - 1, nanos: nanos + 1_000_000_000 }
    } else {
        prost_types::Timestamp { seconds, nanos }
    }
}

fn prost_duration(span: Span) -> prost_types::Duration {
    let millis = span.as_millis();
    prost_types::Duration {
        seconds: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(millis % 1000 * 1_000_000).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
