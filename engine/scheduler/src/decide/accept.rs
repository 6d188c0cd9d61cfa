//! Accepts a plan: the wishes become a revision, its node-roles are wired, and what changed starts to move.

use std::sync::Arc;

use jiff::Timestamp;
use rebar_model::{
    Action, Actor, Breaker, BreakerState, Change, Deployment, DeploymentName, Digest, Ident, Intent, NodeRole,
    NodeRoleStatus, Parameter, ParameterScope, Plan, PlanStep, Revision, RevisionNo, RoleName, State, Touched, Trigger,
    Wishes, World,
};
use serde_json::Value;

use super::{
    lifecycle::{busy, find, leave},
    move_to, moved,
};
use crate::{Decision, Input, Refusal, Towards, plan, plan_towards, protect, wishes};

/// The plan that is to be accepted.
pub(super) struct Given {
    /// Its id.
    pub id: Digest,
    /// The plan itself, where it was made of this very World.
    pub made: Option<Arc<Plan>>,
    /// The wishes that it was made from, where they are others than those of now.
    pub towards: Option<Box<Towards>>,
}

impl Given {
    /// The plan of the deployment as it is now.
    fn current(&self, world: &World, name: &DeploymentName) -> Result<Arc<Plan>, Refusal> {
        let make = || {
            let plan = match &self.towards {
                Some(towards) => plan_towards(world, name, &towards.wishes),
                None => plan(world, name),
            };
            plan.map(Arc::new).map_err(Refusal::BadPlan)
        };
        let wished = match &self.towards {
            Some(towards) => Some(towards.wishes.clone()),
            None => world.deployments().get(name).map(|it| wishes(world, it)),
        };
        let same = |made: &Plan| made.deployment == *name && wished.as_ref() == Some(&made.wishes);
        match &self.made {
            Some(made) if same(made) => {
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
    let restores = given.towards.as_ref().and_then(|it| it.restores);
    record(world, deployment, &current, restores, (by, now), &mut decision);
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
    world: &World,
    deployment: &Deployment,
    plan: &Plan,
    restores: Option<RevisionNo>,
    (by, now): (&Actor, Timestamp),
    decision: &mut Decision,
) {
    let no = deployment.revision.next();
    let changed = plan.steps.iter().filter(|it| !matches!(it.action, Action::Keep | Action::Maybe));
    let revision = Revision {
        deployment: deployment.name.clone(),
        no,
        wishes: plan.wishes.clone(),
        restores,
        plan: plan.id,
        by: by.clone(),
        at: now,
        touched: changed.map(|it| Touched { id: it.spec.id.clone(), action: it.action }).collect(),
    };
    wish(world, deployment, &plan.wishes, (by, now), decision);
    let Wishes { spec, .. } = plan.wishes.clone();
    // An open breaker is not talked past by another plan; a person closes it.
    let breaker = match deployment.breaker.state {
        BreakerState::Closed => Breaker::default(),
        _ => deployment.breaker.clone(),
    };
    let leaders = plan.leaders.clone();
    let deployment = Deployment { spec, revision: no, leaders, breaker, ..deployment.clone() };
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

/// Sets the parameters of the deployment's level to those that are wished for.
fn wish(
    world: &World,
    deployment: &Deployment,
    wanted: &Wishes,
    (by, now): (&Actor, Timestamp),
    decision: &mut Decision,
) {
    let scope = ParameterScope::Deployment(deployment.name.clone());
    let before = wishes(world, deployment).parameters;
    let mut set = |name: &Ident, value: Option<&Value>| {
        let parameter = value.map(|it| Parameter { value: it.clone(), by: by.clone(), at: now });
        decision.change(Change::ParameterSet { scope: scope.clone(), name: name.clone(), parameter });
    };
    for name in before.keys().filter(|it| !wanted.parameters.contains_key(*it)) {
        set(name, None);
    }
    for (name, value) in wanted.parameters.iter().filter(|(name, value)| before.get(*name) != Some(*value)) {
        set(name, Some(value));
    }
}

fn wire(world: &World, step: &PlanStep, decision: &mut Decision) -> Result<Wired, Refusal> {
    let id = &step.spec.id;
    let known = world.node_role(id);
    let same = known.is_some_and(|it| it.spec == step.spec);
    if !same {
        decision.change(Change::NodeRoleSpecified { spec: step.spec.clone() });
    }
    // A new one has the status of a new one.
    let Some(known) = known else { return Ok(Wired::Stirred) };
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
