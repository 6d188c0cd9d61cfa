//! What came of a rehearsal: how long it took and why, which roles are slow, how much ran at once, and what the faults did. Made of
//! the engine's own attempts and verdicts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rebar_model::{Attempt, DeploymentName, NodeRoleId, NodeRoleSpec, Outcome, RoleName, Span, Standing, World};
use rebar_ports::{AttemptQuery, Clock, Store};
use rebar_scheduler::verdict;
use serde::{Serialize, Serializer};

use crate::{
    Basis, Estimate, Fault, FaultKind, RehearsalError, Step,
    duration::quantile,
    path::{Paths, between},
    stage::Stage,
    tally::Hits,
};

/// What came of a rehearsal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The deployment.
    pub deployment: DeploymentName,
    /// The workload version, `name@version`.
    pub workload: String,
    /// What every draw followed from.
    pub seed: u64,
    /// How many simulated nodes there were.
    pub nodes: usize,
    /// From the accepted plan to the end of the last attempt.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Span,
    /// Node-roles and attempts in numbers.
    pub totals: Totals,
    /// The most that ran at once.
    pub widest: Width,
    /// The chain of attempts that the end waited for.
    pub critical_path: Vec<Step>,
    /// What each role took, the one with the longest attempts first.
    pub roles: Vec<RoleReport>,
    /// What each fault did, in the order in which they were given.
    pub faults: Vec<FaultReport>,
}

/// Node-roles and attempts in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Node-roles.
    pub node_roles: usize,
    /// How many of them stand where.
    pub standings: BTreeMap<Standing, usize>,
    /// Attempts.
    pub attempts: usize,
    /// Attempts that failed.
    pub failed: usize,
    /// Node-roles that failed at least once and are active.
    pub recovered: usize,
    /// Node-roles that a person has to act on, or that wait for such.
    pub open: usize,
}

/// The most that ran at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Width {
    /// How many attempts.
    pub attempts: usize,
    /// When that was first so, after the plan was accepted.
    #[serde(rename = "at_seconds", serialize_with = "seconds")]
    pub at: Span,
}

/// What a role took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoleReport {
    /// The role.
    pub role: RoleName,
    /// How many attempts it had.
    pub attempts: usize,
    /// Half of them took less.
    #[serde(rename = "median_seconds", serialize_with = "seconds")]
    pub median: Span,
    /// 19 of 20 took less.
    #[serde(rename = "p95_seconds", serialize_with = "seconds")]
    pub p95: Span,
    /// All of them one after the other.
    #[serde(rename = "total_seconds", serialize_with = "seconds")]
    pub total: Span,
    /// How it is known how long they take.
    pub basis: Basis,
}

/// What a fault did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultReport {
    /// As it was written.
    pub fault: String,
    /// Whether its time came before everything was at rest.
    pub happened: bool,
    /// How many nodes it hit.
    pub nodes: usize,
    /// How many attempts it hit.
    pub attempts: usize,
    /// How many node-roles that it hit are active all the same.
    pub recovered: usize,
    /// How many that it hit are not.
    pub open: usize,
}

/// A length of time as programs like it.
#[expect(clippy::cast_precision_loss, reason = "lengths of time are far below 2^53 ms")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) fn seconds<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_millis() as f64 / 1_000.0)
}

/// Makes the report of what has ended.
pub(crate) async fn report(stage: &Stage, start: Timestamp) -> Result<Report, RehearsalError> {
    let scenario = &stage.scenario;
    let query =
        AttemptQuery { deployment: Some(scenario.deployment.clone()), limit: u32::MAX, ..AttemptQuery::default() };
    let mut attempts = stage.store.attempts(query).await.map_err(|error| RehearsalError::Engine(error.to_string()))?;
    attempts.reverse();
    let handle = stage.handle().ok_or_else(|| RehearsalError::Engine("it is away".to_owned()))?;
    Ok(handle.read(|world| of(stage, world, &attempts, start)))
}

fn of(stage: &Stage, world: &World, attempts: &[Attempt], start: Timestamp) -> Report {
    let scenario = &stage.scenario;
    let now = stage.clock.now();
    let specs: BTreeMap<&NodeRoleId, &NodeRoleSpec> =
        world.node_roles_of(&scenario.deployment).map(|(id, it)| (id, &*it.spec)).collect();
    let standings: BTreeMap<&NodeRoleId, Standing> =
        specs.keys().filter_map(|id| Some((*id, verdict(world, id, now)?.standing))).collect();
    let limited = |role: &RoleName| {
        let role = scenario.workload.roles.get(role);
        role.and_then(|it| it.manifest.spec.concurrency.as_ref()).is_some_and(|it| it.per_deployment.is_some())
    };
    let last = attempts.iter().filter_map(|it| it.ended_at).max().unwrap_or(start);
    let hits = stage.tally.all();
    Report {
        deployment: scenario.deployment.clone(),
        workload: scenario.workload.reference(),
        seed: scenario.seed,
        nodes: scenario.nodes.len(),
        took: between(start, last),
        totals: totals(attempts, &standings),
        widest: widest(attempts, start),
        critical_path: Paths { start, attempts, specs: &specs, limited: &limited }.critical(),
        roles: roles(attempts, |role| scenario.estimate(role)),
        faults: scenario
            .faults
            .iter()
            .zip(&hits)
            .map(|(fault, hits)| of_fault(fault, hits, &specs, &standings))
            .collect(),
    }
}

fn totals(attempts: &[Attempt], standings: &BTreeMap<&NodeRoleId, Standing>) -> Totals {
    let failed: Vec<&Attempt> = attempts.iter().filter(|it| matches!(it.outcome, Some(Outcome::Failed(_)))).collect();
    let stumbled: BTreeSet<&NodeRoleId> = failed.iter().map(|it| &it.node_role).collect();
    let mut counts = BTreeMap::new();
    for standing in standings.values() {
        *counts.entry(*standing).or_default() += 1;
    }
    Totals {
        node_roles: standings.len(),
        attempts: attempts.len(),
        failed: failed.len(),
        recovered: stumbled.iter().filter(|it| standings.get(*it) == Some(&Standing::Active)).count(),
        open: standings.values().filter(|it| **it != Standing::Active).count(),
        standings: counts,
    }
}

fn widest(attempts: &[Attempt], start: Timestamp) -> Width {
    let mut moments: Vec<(Timestamp, bool)> = attempts.iter().map(|it| (it.started_at, true)).collect();
    moments.extend(attempts.iter().filter_map(|it| Some((it.ended_at?, false))));
    // What ends at a moment makes room for what begins then.
    moments.sort_unstable();
    let (mut running, mut widest) = (0_usize, Width::default());
    for (at, begins) in moments {
        running = if begins { running + 1 } else { running.saturating_sub(1) };
        if running > widest.attempts {
            widest = Width { attempts: running, at: between(start, at) };
        }
    }
    widest
}

fn roles(attempts: &[Attempt], estimate: impl Fn(&RoleName) -> Estimate) -> Vec<RoleReport> {
    let mut lengths: BTreeMap<&RoleName, Vec<Span>> = BTreeMap::new();
    for it in attempts {
        if let Some(ended_at) = it.ended_at {
            lengths.entry(&it.node_role.role).or_default().push(between(it.started_at, ended_at));
        }
    }
    let mut roles: Vec<RoleReport> = lengths
        .into_iter()
        .map(|(role, mut lengths)| {
            lengths.sort_unstable();
            RoleReport {
                role: role.clone(),
                attempts: lengths.len(),
                median: quantile(&lengths, 50),
                p95: quantile(&lengths, 95),
                total: lengths.iter().fold(Span::default(), |sum, it| sum.plus(*it)),
                basis: estimate(role).basis,
            }
        })
        .collect();
    roles.sort_by(|left, right| right.p95.cmp(&left.p95).then_with(|| left.role.cmp(&right.role)));
    roles
}

/// A fault hits node-roles: those of its attempts; one that takes nodes away, all that did not get there on them.
fn of_fault(
    fault: &Fault,
    hits: &Hits,
    specs: &BTreeMap<&NodeRoleId, &NodeRoleSpec>,
    standings: &BTreeMap<&NodeRoleId, Standing>,
) -> FaultReport {
    let active = |id: &&NodeRoleId| standings.get(*id) == Some(&Standing::Active);
    let takes = matches!(fault.kind, FaultKind::Lose { .. });
    let on_nodes = specs.iter().filter(|(_, it)| takes && it.agent.as_ref().is_some_and(|it| hits.nodes.contains(it)));
    let open: BTreeSet<&NodeRoleId> =
        on_nodes.map(|(id, _)| *id).chain(&hits.node_roles).filter(|id| !active(id)).collect();
    FaultReport {
        fault: fault.text.clone(),
        happened: hits.happened,
        nodes: hits.nodes.len(),
        attempts: hits.attempts,
        recovered: hits.node_roles.iter().filter(active).count(),
        open: open.len(),
    }
}
