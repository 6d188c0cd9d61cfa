//! Carries effects out, in order, after the store has the changes behind them. Looks the content up in the World and opens secrets at
//! the last moment, for the one node that declared them.

use std::collections::BTreeMap;

use rebar_model::{
    Attempt, AttemptId, AttemptKind, BuiltinAction, Ident, Mode, NodeName, NodeRole, PhaseSpec, RebootPolicy,
    ReleasePlatform, RoleSpec, Runner, SecretRef, World, secret_refs,
};
use rebar_ports::{AgentCommand, PhaseWork, StoreError, UpgradeOrder, Work};
use rebar_scheduler::Effect;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::shared::SharedRef;

/// Carries effects out until cancelled.
pub(crate) async fn run(shared: SharedRef, mut effects: mpsc::Receiver<Effect>, stop: CancellationToken) {
    loop {
        let effect = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            effect = effects.recv() => match effect {
                Some(effect) => effect,
                None => return,
            },
        };
        match effect {
            Effect::Dispatch { node, attempt } => dispatch(&shared, &node, attempt).await,
            Effect::Cancel { node, attempt } => {
                let epoch = shared.read(rebar_model::World::epoch);
                shared.sessions.send(&node, AgentCommand::Cancel { attempt, epoch });
            }
            Effect::Release { node, attempt } => {
                shared.sessions.send(&node, AgentCommand::ResultStored { attempt });
            }
            Effect::Upgrade { node } => {
                if let Some(order) = shared.read(|world| upgrade(world, &node)) {
                    shared.sessions.send(&node, AgentCommand::Upgrade(Box::new(order)));
                }
            }
            Effect::Reconcile => shared.kick_services(),
        }
    }
}

/// The release that an agent is to become; none if nobody waits for it any more.
fn upgrade(world: &World, node: &NodeName) -> Option<UpgradeOrder> {
    let step = world.agents().get(node)?.step.as_ref().filter(|it| it.state.is_under_way())?;
    let upgrade = world.agent_upgrade().filter(|it| it.no == step.upgrade)?;
    let platform = ReleasePlatform::of(world.nodes().get(node)?.facts.as_ref()?)?;
    let build = world.agent_releases().get(&upgrade.version)?.builds.get(&platform)?;
    let (upgrade, epoch) = (upgrade.no, world.epoch());
    Some(UpgradeOrder { upgrade, epoch, content: build.content, signed: build.signed.clone() })
}

/// Hands an attempt to its agent. If a secret cannot be opened the attempt waits for its deadline, with the reason in the log.
async fn dispatch(shared: &SharedRef, node: &NodeName, attempt: AttemptId) {
    let Some(mut work) = shared.read(|world| prepare(world, attempt)) else {
        return;
    };
    for (name, value) in &mut work.inputs {
        match open(shared, value).await {
            Ok(opened) => *value = opened,
            Err(error) => {
                tracing::error!(%attempt, input = %name, %error, "secret cannot be opened");
                return;
            }
        }
    }
    shared.sessions.send(node, AgentCommand::Dispatch(Box::new(work)));
}

/// The work of an attempt, secrets still as references; none if it is not under way any more.
fn prepare(world: &World, attempt: AttemptId) -> Option<Work> {
    let attempt = world.attempts().get(&attempt)?;
    let node_role = world.node_role(&attempt.node_role)?;
    // The plan may be another one by now; the attempt is what it was when it was decided.
    let role = &world.role_carried_out(attempt)?.manifest.spec;
    let (shell, user, templates, reboot) = match &role.runner {
        Runner::Script { shell, user, templates } => (shell.clone(), user.clone(), templates.clone(), role.reboot),
        Runner::Builtin { action: BuiltinAction::NodeReboot } => (None, None, BTreeMap::new(), RebootPolicy::Always),
        _ => return None,
    };
    Some(Work {
        attempt: attempt.id,
        epoch: attempt.epoch.max(world.epoch()),
        node_role: attempt.node_role.clone(),
        kind: attempt.kind,
        content: attempt.content,
        phases: phases(role, attempt, is_wipe(world, attempt)),
        inputs: inputs(attempt),
        secret_inputs: secret_inputs(attempt, node_role),
        secret_outputs: role.outputs.iter().filter(|(_, it)| it.secret).map(|(name, _)| name.clone()).collect(),
        shell,
        user,
        templates,
        reboot,
        deadline: attempt.deadline,
    })
}

/// Whether an attempt is one of many that undo everything of their deployment.
fn is_wipe(world: &World, attempt: &Attempt) -> bool {
    let deployment = world.deployments().get(&attempt.node_role.deployment);
    attempt.kind == AttemptKind::Undo && deployment.is_some_and(|it| it.mode != Mode::Converging)
}

fn phases(role: &RoleSpec, attempt: &Attempt, is_wipe: bool) -> Vec<PhaseWork> {
    let phases = attempt.phases.iter().filter_map(|phase| {
        let spec = role.phases.get(*phase)?;
        let mut env = spec.env.clone();
        // A role need not ask others to take over from it when those go as well.
        env.extend(is_wipe.then(|| ("REBAR_WIPE".to_owned(), "1".to_owned())));
        Some(PhaseWork {
            phase: *phase,
            run: spec.run.clone(),
            timeout: spec.timeout.unwrap_or(PhaseSpec::DEFAULT_TIMEOUT),
            every: spec.every,
            successes: spec.successes.unwrap_or(1),
            env,
        })
    });
    phases.collect()
}

/// The inputs that must never reach a log: those that the wiring says, and those that hold a secret, whatever it says by now.
fn secret_inputs(attempt: &Attempt, node_role: &NodeRole) -> Vec<Ident> {
    let bound = |name: &Ident| node_role.spec.bindings.get(name).is_some_and(|it| it.secret);
    let inputs = attempt.inputs.iter();
    let secret = inputs.filter(|(name, it)| bound(name) || !secret_refs(&it.value).is_empty());
    secret.map(|(name, _)| name.clone()).collect()
}

fn inputs(attempt: &Attempt) -> BTreeMap<Ident, Value> {
    attempt.inputs.iter().map(|(name, it)| (name.clone(), it.value.clone())).collect()
}

/// A value with its secrets opened, also inside arrays and objects.
async fn open(shared: &SharedRef, value: &Value) -> Result<Value, StoreError> {
    if let Some(reference) = SecretRef::from_value(value) {
        let bytes = shared.ports.vault.open(&reference).await?.ok_or(StoreError::Corrupt {
            what: "secret",
            detail: "a reference has nothing sealed under it".to_owned(),
        })?;
        return serde_json::from_slice(&bytes)
            .map_err(|_| StoreError::Corrupt { what: "secret", detail: "it is not JSON".to_owned() });
    }
    match value {
        Value::Array(items) => {
            let mut opened = Vec::with_capacity(items.len());
            for item in items {
                opened.push(Box::pin(open(shared, item)).await?);
            }
            Ok(Value::Array(opened))
        }
        Value::Object(fields) => {
            let mut opened = serde_json::Map::new();
            for (key, field) in fields {
                opened.insert(key.clone(), Box::pin(open(shared, field)).await?);
            }
            Ok(Value::Object(opened))
        }
        other => Ok(other.clone()),
    }
}
