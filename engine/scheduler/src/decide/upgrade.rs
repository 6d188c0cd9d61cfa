//! The upgrade of the agents: a few go first, and the others follow when those have stayed for a while, so many at once. One that
//! refuses, goes back or stays silent holds all that were not told yet. An agent that is away is told when it comes.

use jiff::Timestamp;
use rebar_model::{
    Actor, Agent, AgentBuild, AgentRelease, AgentUpgrade, Change, NodeMode, NodeName, ReleasePlatform, StepState,
    UpgradeFailure, UpgradeNo, UpgradeReport, UpgradeState, UpgradeStep, World,
};
use semver::Version;

use crate::{Decision, Effect, Input, Refusal, UpgradeWish};

/// Adds the program of a release for a platform. The same again changes nothing.
pub(super) fn import(
    world: &World,
    version: Version,
    platform: ReleasePlatform,
    build: AgentBuild,
) -> Result<Decision, Refusal> {
    let mut decision = Decision::default();
    let known = world.agent_releases().get(&version);
    match known.and_then(|it| it.builds.get(&platform)) {
        Some(there) if there.sha256 == build.sha256 => return Ok(decision),
        Some(_) => return Err(Refusal::Exists { kind: "agent release", name: format!("{version} for {platform}") }),
        None => {}
    }
    let mut builds = known.map(|it| it.builds.clone()).unwrap_or_default();
    builds.insert(platform, build);
    decision.change(Change::AgentReleasePut { release: AgentRelease { version, builds }.into() });
    go_on(world, &mut decision);
    Ok(decision)
}

/// Begins an upgrade.
pub(super) fn start(world: &World, wish: UpgradeWish, by: &Actor, now: Timestamp) -> Result<Decision, Refusal> {
    let UpgradeWish { version, canaries, max_in_flight, stable_for, report_within } = wish;
    let before = world.agent_upgrade();
    if let Some(running) = before.filter(|it| it.is_running()) {
        return Err(Refusal::UpgradeRunning { version: running.version.clone() });
    }
    let Some(release) = world.agent_releases().get(&version) else {
        return Err(Refusal::NotFound { kind: "agent release", name: version.to_string() });
    };
    refuse_without_build(world, release)?;
    let upgrade = AgentUpgrade {
        // An engine on a restored database begins above every number that agents may remember, as its epoch does.
        no: before.map(|it| it.no).unwrap_or_default().next().max(UpgradeNo(world.epoch().0)),
        version,
        canaries: canaries.max(1),
        max_in_flight: max_in_flight.max(1),
        stable_for,
        report_within,
        first: Vec::new(),
        state: UpgradeState::Running,
        by: by.clone(),
        started_at: now,
    };
    let mut decision = Decision::default();
    decision.change(put(upgrade));
    decision.next.push(Input::Upgrade);
    Ok(decision)
}

/// An upgrade that would leave somebody behind is not begun.
fn refuse_without_build(world: &World, release: &AgentRelease) -> Result<(), Refusal> {
    let lacks = |agent: &&Agent| {
        let platform = platform(world, &agent.node);
        agent.version.as_ref() != Some(&release.version) && platform.is_some_and(|it| !release.builds.contains_key(&it))
    };
    let left: Vec<NodeName> = world.agents().values().filter(lacks).map(|it| it.node.clone()).collect();
    match left.first().and_then(|node| platform(world, node)) {
        Some(platform) => Err(Refusal::NoBuild { version: release.version.clone(), platform, nodes: left }),
        None => Ok(()),
    }
}

/// Tells nobody any more.
pub(super) fn stop(world: &World, by: &Actor, now: Timestamp) -> Result<Decision, Refusal> {
    let open = |it: &&AgentUpgrade| matches!(it.state, UpgradeState::Running | UpgradeState::Held { .. });
    let upgrade = world.agent_upgrade().filter(open).ok_or(Refusal::NoUpgrade)?;
    let mut decision = Decision::default();
    decision.change(put(AgentUpgrade { state: UpgradeState::Stopped { by: by.clone(), at: now }, ..upgrade.clone() }));
    Ok(decision)
}

/// An agent is here, and said its version, and what it thinks of the last upgrade that it did not go through with.
pub(super) fn said_hello(
    world: &World,
    node: &NodeName,
    version: Option<Version>,
    report: Option<UpgradeReport>,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    super::agent::find(world, node)?;
    let mut decision = Decision::default();
    let known = world.agents().get(node);
    let mut agent = known.cloned().unwrap_or(Agent { node: node.clone(), version: None, step: None });
    agent.version = version;
    if let Some((step, upgrade)) = under_way(world, &agent) {
        let deadline = deadline(&step.state).unwrap_or(now);
        let report = report.filter(|it| it.upgrade == step.upgrade);
        match (upgrade, report) {
            (Some(upgrade), Some(report)) => {
                fail(upgrade, &mut agent, report.failure, now, &mut decision);
            }
            (Some(upgrade), None) if agent.version.as_ref() == Some(&upgrade.version) => {
                let until = upgrade.stable_for.after(now);
                agent.step = Some(UpgradeStep { state: StepState::Watched { until, deadline }, ..step });
            }
            // The order may have been lost with the session.
            (Some(upgrade), None) if upgrade.is_running() => {
                agent.step = Some(UpgradeStep { state: StepState::Told { deadline }, ..step });
                decision.effects.push(Effect::Upgrade { node: node.clone() });
            }
            // Nobody waits for it any more; what it becomes is what it is.
            _ => agent.step = None,
        }
    }
    let open = world.agent_upgrade().is_some_and(|it| agent.version.as_ref() != Some(&it.version));
    if known != Some(&agent) || open {
        go_on(world, &mut decision);
    }
    if known != Some(&agent) {
        decision.changes.insert(0, Change::AgentPut { agent: Box::new(agent) });
    }
    Ok(decision)
}

/// An agent does not go through with an upgrade, and did not have to start anew to know.
pub(super) fn failed(
    world: &World,
    node: &NodeName,
    report: UpgradeReport,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    super::agent::find(world, node)?;
    let mut decision = Decision::default();
    let Some(mut agent) = world.agents().get(node).cloned() else { return Ok(decision) };
    if let Some((step, Some(upgrade))) = under_way(world, &agent)
        && step.upgrade == report.upgrade
    {
        fail(upgrade, &mut agent, report.failure, now, &mut decision);
        decision.change(Change::AgentPut { agent: Box::new(agent) });
    }
    Ok(decision)
}

/// An agent that was watched went away: it has to say again that it is the new one.
pub(super) fn lost(world: &World, node: &NodeName, decision: &mut Decision) {
    if let Some(agent) = world.agents().get(node)
        && let Some(UpgradeStep { upgrade, state: StepState::Watched { deadline, .. } }) = agent.step
    {
        let step = Some(UpgradeStep { upgrade, state: StepState::Told { deadline } });
        decision.change(Change::AgentPut { agent: Box::new(Agent { step, ..agent.clone() }) });
    }
}

/// Agents that were watched for long enough are done; those that were waited for in vain are not.
pub(super) fn due(world: &World, now: Timestamp, decision: &mut Decision) {
    for node in world.upgrades_due(now) {
        let Some(agent) = world.agents().get(node) else { continue };
        let Some((step, upgrade)) = under_way(world, agent) else { continue };
        let mut agent = agent.clone();
        match (upgrade, &step.state) {
            (Some(_), StepState::Watched { .. }) => {
                agent.step = Some(UpgradeStep { state: StepState::Done { at: now }, ..step });
            }
            (Some(upgrade), _) => {
                let is_new = agent.version.as_ref() == Some(&upgrade.version);
                let failure = if is_new { UpgradeFailure::Unstable } else { UpgradeFailure::Silent };
                fail(upgrade, &mut agent, failure, now, decision);
            }
            (None, _) => agent.step = None,
        }
        decision.change(Change::AgentPut { agent: Box::new(agent) });
    }
    if !decision.changes.is_empty() {
        go_on(world, decision);
    }
}

/// No agent could say anything while no engine led: that time does not count.
pub(super) fn took_over(world: &World, now: Timestamp, decision: &mut Decision) {
    for node in world.upgrading() {
        let Some(agent) = world.agents().get(node) else { continue };
        let Some((step, upgrade)) = under_way(world, agent) else { continue };
        let told = |it: &AgentUpgrade| StepState::Told { deadline: it.report_within.after(now) };
        let step = upgrade.map(|it| UpgradeStep { state: told(it), ..step });
        decision.change(Change::AgentPut { agent: Box::new(Agent { step, ..agent.clone() }) });
    }
    go_on(world, decision);
}

/// Tells the next agents, when there is room and those before have stayed.
pub(super) fn advance(world: &World, now: Timestamp) -> Decision {
    let mut decision = Decision::default();
    let Some(upgrade) = world.agent_upgrade().filter(|it| it.is_running()) else { return decision };
    let busy = world.upgrading().filter(|it| step(world, upgrade, it).is_some()).count();
    let Room { agents: room, leading } = room(world, upgrade, busy);
    if room == 0 && busy > 0 {
        return decision;
    }
    let told: Vec<&Agent> =
        open(world, upgrade).filter(|it| can_be_told(world, upgrade, &it.node)).take(room).collect();
    for agent in &told {
        let state = StepState::Told { deadline: upgrade.report_within.after(now) };
        let step = Some(UpgradeStep { upgrade: upgrade.no, state });
        decision.change(Change::AgentPut { agent: Box::new(Agent { step, ..(*agent).clone() }) });
        decision.effects.push(Effect::Upgrade { node: agent.node.clone() });
    }
    if leading && !told.is_empty() {
        let first = upgrade.first.iter().chain(told.iter().map(|it| &it.node)).cloned().collect();
        decision.change(put(AgentUpgrade { first, ..upgrade.clone() }));
    }
    if busy == 0 && open(world, upgrade).next().is_none() {
        decision.change(put(AgentUpgrade { state: UpgradeState::Done { at: now }, ..upgrade.clone() }));
    }
    decision
}

/// How many agents may be told now, and whether they are of those that go first.
struct Room {
    agents: usize,
    leading: bool,
}

fn room(world: &World, upgrade: &AgentUpgrade, busy: usize) -> Room {
    let steps: Vec<_> = upgrade.first.iter().filter_map(|it| step(world, upgrade, it)).collect();
    let proven = steps.iter().filter(|it| matches!(it, StepState::Done { .. })).count();
    let canaries = upgrade.canaries as usize;
    if proven < canaries {
        // Where there are fewer agents than were to go first, all go first.
        let wanted = canaries.min(steps.len() + open(world, upgrade).count());
        if proven < wanted {
            return Room { agents: wanted - steps.len(), leading: true };
        }
    }
    Room { agents: (upgrade.max_in_flight as usize).saturating_sub(busy), leading: false }
}

/// Where an agent stands in this upgrade; none if it was not told.
fn step<'a>(world: &'a World, upgrade: &AgentUpgrade, node: &NodeName) -> Option<&'a StepState> {
    world.agents().get(node)?.step.as_ref().filter(|it| it.upgrade == upgrade.no).map(|it| &it.state)
}

/// The agents that are another version, and were not told.
fn open<'a>(world: &'a World, upgrade: &'a AgentUpgrade) -> impl Iterator<Item = &'a Agent> {
    let agents = world.agents().values();
    agents.filter(|it| it.version.as_ref() != Some(&upgrade.version) && step(world, upgrade, &it.node).is_none())
}

fn can_be_told(world: &World, upgrade: &AgentUpgrade, name: &NodeName) -> bool {
    let ready = world.nodes().get(name).is_some_and(|it| it.is_here() && it.mode == NodeMode::Ready);
    let release = world.agent_releases().get(&upgrade.version);
    ready && platform(world, name).is_some_and(|it| release.is_some_and(|release| release.builds.contains_key(&it)))
}

fn platform(world: &World, name: &NodeName) -> Option<ReleasePlatform> {
    ReleasePlatform::of(world.nodes().get(name)?.facts.as_ref()?)
}

/// The step that an agent is in the middle of, and its upgrade if that is still the last one.
fn under_way<'a>(world: &'a World, agent: &Agent) -> Option<(UpgradeStep, Option<&'a AgentUpgrade>)> {
    let step = agent.step.as_ref().filter(|it| it.state.is_under_way())?;
    Some((step.clone(), world.agent_upgrade().filter(|it| it.no == step.upgrade)))
}

fn deadline(state: &StepState) -> Option<Timestamp> {
    match state {
        StepState::Told { deadline } | StepState::Watched { deadline, .. } => Some(*deadline),
        StepState::Done { .. } | StepState::Failed { .. } => None,
    }
}

/// An agent is not the new one: nobody else is told.
fn fail(upgrade: &AgentUpgrade, agent: &mut Agent, failure: UpgradeFailure, now: Timestamp, decision: &mut Decision) {
    let state = StepState::Failed { failure: failure.clone(), at: now };
    agent.step = Some(UpgradeStep { upgrade: upgrade.no, state });
    let is_held = |it: &Change| matches!(it, Change::AgentUpgradePut { .. });
    if upgrade.is_running() && !decision.changes.iter().any(is_held) {
        let state = UpgradeState::Held { node: agent.node.clone(), failure, at: now };
        decision.change(put(AgentUpgrade { state, ..upgrade.clone() }));
    }
}

fn put(upgrade: AgentUpgrade) -> Change {
    Change::AgentUpgradePut { upgrade: Box::new(upgrade) }
}

/// Asks for the next agents, where an upgrade goes on.
pub(super) fn go_on(world: &World, decision: &mut Decision) {
    if world.agent_upgrade().is_some_and(AgentUpgrade::is_running) {
        decision.next.push(Input::Upgrade);
    }
}
