//! Accepts a plan: the wishes become a revision, its node-roles are wired, and what changed starts to move.

use std::sync::Arc;

use jiff::Timestamp;
use rebar_model::{
    Action, Actor, Change, Deployment, DeploymentName, Digest, Intent, NodeRole, NodeRoleStatus, Plan, PlanStep,
    Revision, RoleName, State, Trigger, World,
};

use super::{
    lifecycle::{busy, find, leave},
    move_to, moved,
};
use crate::{Decision, Input, Refusal, plan, protect};

/// The plan that is to be accepted.
pub(super) struct Given {
    /// Its id.
    pub id: Digest,
    /// The plan itself, where it was made of this very World.
    pub made: Option<Arc<Plan>>,
}

impl Given {
    /// The plan of the deployment as it is now.
    fn current(&self, world: &World, name: &DeploymentName) -> Result<Arc<Plan>, Refusal> {
        let make = || plan(world, name).map(Arc::new).map_err(Refusal::BadPlan);
        match &self.made {
            Some(made) if made.deployment == *name => {
                debug_assert!(make().is_ok_and(|it| it.id == made.id), "it was made of another World");
                Ok(made.clone())
            }
            _ => make(),
        }
    }
}

/// The roles that an operator named, because what a plan does with them cannot be taken back.
pub(super) struct Named {
    /// The destructive ones that may run.
    pub grants: Vec<RoleName>,
    /// The protected ones that may be taken away.
    pub allowed: Vec<RoleName>,
}

/// Accepts a plan, if it would be made the same now, everything destructive in it is granted and everything protected is named.
pub(super) fn accept(
    world: &World,
    name: &DeploymentName,
    given: &Given,
    named: &Named,
    by: &Actor,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let deployment = find(world, name)?;
    busy(deployment)?;
    let current = given.current(world, name)?;
    if current.id != given.id {
        return Err(Refusal::StalePlan {
            deployment: name.clone(),
            given: given.id,
            current: current.id,
            base: deployment.revision,
        });
    }
    let missing: Vec<_> = current.destructive.iter().filter(|it| !named.grants.contains(it)).cloned().collect();
    if !missing.is_empty() {
        return Err(Refusal::NotGranted { roles: missing });
    }
    protect::refuse(current.protected.clone(), &named.allowed)?;
    let mut decision = Decision::default();
    let touched: Vec<_> = current
        .steps
        .iter()
        .filter(|it| !matches!(it.action, Action::Keep | Action::Maybe))
        .map(|it| it.spec.id.clone())
        .collect();
    record(deployment, &current, touched.clone(), by, now, &mut decision);
    let mut stirred = Vec::new();
    for step in &current.steps {
        if wire(world, step, &mut decision)? == Wired::Stirred {
            stirred.push(&step.spec.id);
        }
    }
    decision.next.push(Input::Suspect { roots: touched });
    for id in stirred {
        decision.look(id);
    }
    Ok(decision)
}

fn record(
    deployment: &Deployment,
    plan: &Plan,
    touched: Vec<rebar_model::NodeRoleId>,
    by: &Actor,
    now: Timestamp,
    decision: &mut Decision,
) {
    let no = deployment.revision.next();
    let revision = Revision {
        deployment: deployment.name.clone(),
        no,
        spec: plan.spec.clone(),
        plan: plan.id,
        by: by.clone(),
        at: now,
        touched,
    };
    let deployment = Deployment { revision: no, leaders: plan.leaders.clone(), ..deployment.clone() };
    decision.change(Change::DeploymentPut { deployment: Box::new(deployment) });
    decision.change(Change::RevisionAccepted { revision: Box::new(revision) });
}

/// What wiring a node-role has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wired {
    /// It is as it was, and has nothing to do.
    Resting,
    /// It may have something to do.
    Stirred,
}

fn wire(world: &World, step: &PlanStep, decision: &mut Decision) -> Result<Wired, Refusal> {
    let id = &step.spec.id;
    let known = world.node_role(id);
    let same = known.is_some_and(|it| it.spec == step.spec);
    if !same {
        decision.change(Change::NodeRoleSpecified { spec: step.spec.clone() });
    }
    let Some(known) = known else {
        decision.change(move_to(id, NodeRoleStatus::new()));
        return Ok(Wired::Stirred);
    };
    match step.action {
        Action::Retire => leave(world, known, Intent::Absent, decision)?,
        Action::Forget => leave(world, known, Intent::Forgotten, decision)?,
        Action::Create | Action::Change => {
            let status = stir(known)?;
            if status != known.status {
                decision.change(move_to(id, status));
            }
        }
        Action::Keep | Action::Maybe => {
            if same && known.status.state.is_fresh() {
                return Ok(Wired::Resting);
            }
            if known.status.state.is_fresh() {
                decision.change(move_to(id, moved(&known.status, [Trigger::Suspected])?));
            }
        }
    }
    Ok(Wired::Stirred)
}

/// The status of a node-role whose role or inputs changed, or that is wanted again.
fn stir(known: &NodeRole) -> Result<NodeRoleStatus, Refusal> {
    let mut status = match known.status.state {
        State::Active { .. } => moved(&known.status, [Trigger::Staled])?,
        State::Failed { .. } => moved(&known.status, [Trigger::Retried])?,
        State::Removed => moved(&known.status, [Trigger::Revived])?,
        _ => known.status.clone(),
    };
    (status.intent, status.tries, status.not_before) = (Intent::Present, 0, None);
    Ok(status)
}
