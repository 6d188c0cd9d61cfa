//! One task a service: has it make the world outside equal to what is desired, and reports the end of the attempts that waited for
//! it. It takes no input: it looks.

use std::collections::BTreeMap;

use rebar_model::{
    Actor, AttemptId, AttemptKind, BuiltinAction, Failure, FailureKind, Ident, Report, Resource, ResourceId, Runner,
    World,
};
use rebar_ports::Observed;
use rebar_scheduler::{Input, check_outputs};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{limits::RETRY_PAUSE, owner::Message, shared::SharedRef};

/// An attempt that waits for a service.
struct Waiting {
    attempt: AttemptId,
    kind: AttemptKind,
    resource: ResourceId,
}

/// Runs one service until cancelled.
pub(crate) async fn run(shared: SharedRef, place: usize, stop: CancellationToken) {
    let Some(service) = shared.ports.services.get(place).cloned() else { return };
    loop {
        let (desired, waiting) = shared.read(|world| look(world, service.actions()));
        let pause = match service.reconcile(&desired).await {
            Ok(observed) => {
                report(&shared, &waiting, observed).await;
                None
            }
            Err(error) => {
                tracing::warn!(actions = ?service.actions(), %error, "service cannot work");
                for it in &waiting {
                    shared.pending().insert(it.resource.clone(), error.to_string());
                }
                Some(RETRY_PAUSE.after(shared.ports.clock.now()))
            }
        };
        let again = async {
            match pause {
                Some(at) => shared.ports.clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = shared.kicks[place].notified() => {}
            () = service.changed() => {}
            () = again => {}
        }
    }
}

/// What is desired of a service now, and which attempts wait for it.
fn look(world: &World, actions: &[BuiltinAction]) -> (Vec<Resource>, Vec<Waiting>) {
    let mine = |action: BuiltinAction| actions.contains(&action);
    let desired = world.resources().values().filter(|it| mine(it.kind.action())).cloned().collect();
    let waiting = world
        .attempts()
        .values()
        .filter(|it| {
            let node_role = world.node_role(&it.node_role);
            let role = node_role.and_then(|it| world.role_of(&it.spec));
            role.is_some_and(|it| matches!(it.manifest.spec.runner, Runner::Builtin { action } if mine(action)))
        })
        .map(|it| Waiting { attempt: it.id, kind: it.kind, resource: ResourceId(it.node_role.clone()) })
        .collect();
    (desired, waiting)
}

async fn report(shared: &SharedRef, waiting: &[Waiting], observed: Observed) {
    for it in waiting {
        let report = match it.kind {
            AttemptKind::Undo if observed.pending.contains_key(&it.resource) => None,
            AttemptKind::Undo => Some(Report::Succeeded { outputs: BTreeMap::new(), converged: false, note: None }),
            AttemptKind::Apply | AttemptKind::Replace => arrived(shared, &it.resource, &observed),
        };
        if let Some(report) = report {
            let input = Input::AttemptEnded { node: None, attempt: it.attempt, report, phase: None };
            // The owner is gone only when the engine stops.
            if let Ok(intake) = shared.intake() {
                let _ = intake.inbox.send(Message::Input { input, by: Actor::engine(), reply: None }).await;
            }
        }
    }
    let mut pending = shared.pending();
    for it in waiting.iter().map(|it| &it.resource).chain(observed.ready.keys()) {
        pending.remove(it);
    }
    pending.extend(observed.pending);
}

fn arrived(shared: &SharedRef, resource: &ResourceId, observed: &Observed) -> Option<Report> {
    if let Some(why) = observed.refused.get(resource) {
        return Some(Report::Failed(failure(why)));
    }
    let outputs = observed.ready.get(resource)?;
    let role = shared.read(|world| {
        let node_role = world.node_role(&resource.0)?;
        world.role_of(&node_role.spec).cloned()
    })?;
    let role = &role.manifest.spec;
    // A service gives all that it knows; the role sees what it declares.
    let outputs: BTreeMap<Ident, Value> = outputs
        .iter()
        .filter(|(name, _)| role.outputs.contains_key(*name))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    Some(match check_outputs(role, &outputs) {
        Ok(()) => Report::Succeeded { outputs, converged: false, note: None },
        Err(failure) => Report::Failed(failure),
    })
}

fn failure(why: &str) -> Failure {
    Failure { kind: FailureKind::Error, phase: None, exit_code: None, message: why.to_owned(), retry_after: None }
}
