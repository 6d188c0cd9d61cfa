//! The door that agents come in through, on the engine's side: checks what they say, seals secrets before anything else sees them, and
//! answers only when it is durable.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use rebar_model::{
    Actor, AttemptId, Digest, Epoch, Facts, Ident, NodeName, Phase, Report, RoleSpec, TokenHash, UpgradeReport, World,
};
use rebar_ports::{AgentDoor, AgentHello, AgentSession, DoorError, LogChunk, SessionId, StoreError};
use rebar_scheduler::{Command, Input, Refusal, check_outputs};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{EngineError, Handle, handle::AttemptProgress, log_writer::LogPiece, owner::Message, shared::Intake};

#[async_trait]
impl AgentDoor for Handle {
    async fn enrol(&self, token: &str) -> Result<NodeName, DoorError> {
        let hash = TokenHash::of(token);
        let known = self.read(|world| world.enrol_tokens().get(&hash).cloned()).ok_or(DoorError::UnknownToken)?;
        let by = Actor::agent(&known.node);
        match self.command(by, Command::UseEnrolToken { hash }).await {
            Ok(()) => Ok(known.node),
            // The owner decides in one line, so of two that use a token at once one is told this.
            Err(EngineError::Refused(Refusal::BadToken { .. })) if known.expires_at <= self.now() => {
                Err(DoorError::ExpiredToken)
            }
            Err(EngineError::Refused(Refusal::BadToken { .. })) => Err(DoorError::UsedToken),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn connected(
        &self,
        node: &NodeName,
        hello: AgentHello,
        session: Arc<dyn AgentSession>,
    ) -> Result<(SessionId, Epoch), DoorError> {
        let ours = self.read(World::epoch);
        if hello.epoch > ours {
            return Err(DoorError::Fenced { ours, theirs: hello.epoch });
        }
        let (reply, answer) = oneshot::channel();
        let message = Message::Connected { node: node.clone(), hello, session, reply };
        self.intake()?.inbox.send(message).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?.map_err(|error| refused(node, &error))
    }

    async fn disconnected(&self, node: &NodeName, session: SessionId) -> Result<(), DoorError> {
        let message = Message::Disconnected { node: node.clone(), session };
        self.intake()?.inbox.send(message).await.map_err(|_| stopped())
    }

    async fn facts(&self, node: &NodeName, facts: Facts) -> Result<(), DoorError> {
        let input = Input::FactsReported { node: node.clone(), facts: Box::new(facts) };
        self.input(input, Actor::agent(node)).await.map_err(|error| refused(node, &error))
    }

    async fn started(&self, node: &NodeName, attempt: AttemptId) -> Result<(), DoorError> {
        let input = Input::AttemptAccepted { node: node.clone(), attempt };
        let message = Message::Input { input, by: Actor::agent(node), reply: None };
        self.intake()?.inbox.send(message).await.map_err(|_| stopped())
    }

    async fn progress(
        &self,
        node: &NodeName,
        attempt: AttemptId,
        phase: Option<Phase>,
        percent: u32,
        text: String,
    ) -> Result<(), DoorError> {
        if self.owns(node, attempt) {
            self.shared.progress().insert(attempt, AttemptProgress { phase, percent, text });
        }
        Ok(())
    }

    async fn ended(&self, node: &NodeName, attempt: AttemptId, report: Report) -> Result<(), DoorError> {
        let phase = self.shared.progress().get(&attempt).and_then(|it| it.phase);
        let report = self.checked(node, attempt, report).await?;
        let input = Input::AttemptEnded { node: Some(node.clone()), attempt, report, phase };
        match self.input(input, Actor::agent(node)).await {
            // Whatever the engine makes of it, it is said and done: the agent may forget the attempt.
            Ok(()) | Err(EngineError::Refused(_)) => Ok(()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn upgrade_failed(&self, node: &NodeName, report: UpgradeReport) -> Result<(), DoorError> {
        let input = Input::UpgradeFailed { node: node.clone(), report };
        self.input(input, Actor::agent(node)).await.map_err(|error| refused(node, &error))
    }

    async fn log(&self, node: &NodeName, chunk: LogChunk) -> Result<u64, DoorError> {
        let end = chunk.offset + chunk.bytes;
        if !self.owned(node, chunk.attempt).await? {
            // Nobody will ask for it: let the agent forget it.
            return Ok(end);
        }
        let (reply, answer) = oneshot::channel();
        self.intake()?.logs.send(LogPiece { chunk, reply }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?.map_err(|error| store(&error))
    }

    async fn content(&self, digest: Digest) -> Result<Option<Vec<u8>>, DoorError> {
        self.shared.ports.blobs.get(digest).await.map_err(|error| store(&error))
    }
}

impl Handle {
    fn intake(&self) -> Result<&Intake, DoorError> {
        self.shared.intake().map_err(|error| unavailable(&error))
    }

    fn owns(&self, node: &NodeName, attempt: AttemptId) -> bool {
        self.read(|world| world.attempts().get(&attempt).is_some_and(|it| it.node.as_ref() == Some(node)))
    }

    /// Whether an attempt is, or was, this node's: late pieces of a log come after its end.
    async fn owned(&self, node: &NodeName, attempt: AttemptId) -> Result<bool, DoorError> {
        if self.owns(node, attempt) {
            return Ok(true);
        }
        let known = self.store().attempt(attempt).await.map_err(|error| store(&error))?;
        Ok(known.is_some_and(|it| it.node.as_ref() == Some(node)))
    }

    /// Checks the outputs of a success against what the role declares, then seals the secret ones.
    async fn checked(&self, node: &NodeName, attempt: AttemptId, report: Report) -> Result<Report, DoorError> {
        let Report::Succeeded { outputs, converged, note } = report else { return Ok(report) };
        let undo = |it: &rebar_model::Attempt| it.kind == rebar_model::AttemptKind::Undo;
        let found = self.read(|world| {
            let attempt = world.attempts().get(&attempt).filter(|it| it.node.as_ref() == Some(node))?;
            Some((world.role_carried_out(attempt)?.clone(), undo(attempt)))
        });
        // An attempt that is not under way any more is refused by the owner; its outputs go nowhere.
        let Some((role, undo)) = found else {
            return Ok(Report::Succeeded { outputs: BTreeMap::new(), converged, note });
        };
        if undo {
            return Ok(Report::Succeeded { outputs: BTreeMap::new(), converged, note });
        }
        let role = &role.manifest.spec;
        match check_outputs(role, &outputs) {
            Err(failure) => Ok(Report::Failed(failure)),
            Ok(()) => Ok(Report::Succeeded { outputs: self.sealed(role, outputs).await?, converged, note }),
        }
    }

    async fn sealed(
        &self,
        role: &RoleSpec,
        outputs: BTreeMap<Ident, Value>,
    ) -> Result<BTreeMap<Ident, Value>, DoorError> {
        let mut sealed = BTreeMap::new();
        for (name, value) in outputs {
            let secret = role.outputs.get(&name).is_some_and(|it| it.secret);
            let value = if secret { self.seal(&value).await.map_err(|error| unavailable(&error))? } else { value };
            sealed.insert(name, value);
        }
        Ok(sealed)
    }
}

fn refused(node: &NodeName, error: &EngineError) -> DoorError {
    match error {
        EngineError::Refused(Refusal::NotFound { kind: "node", .. }) => DoorError::UnknownNode(node.clone()),
        other => unavailable(other),
    }
}

fn unavailable(error: &EngineError) -> DoorError {
    DoorError::Unavailable(error.to_string())
}

fn store(error: &StoreError) -> DoorError {
    DoorError::Unavailable(error.to_string())
}

fn stopped() -> DoorError {
    DoorError::Unavailable("it is stopping".to_owned())
}
