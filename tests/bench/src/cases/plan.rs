//! Planning a large deployment, pure: no database, no agents. The first plan, the plan of what is applied already, and what it takes
//! from one failed node-role to the next dispatch.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result, anyhow, ensure};
use rebar_model::{Actor, Change, DeploymentSpec, Failure, FailureKind, NodeName, NodeRoleId, Report, State, World};
use rebar_ports::Clock as _;
use rebar_scheduler::{Command, Effect, Input, Progress, plan, step};

use crate::{
    figure::{Bar, Figure},
    shape::{Shape, name},
    stage::{self, deployment},
    system::{SystemClock, Watch, peak_memory_mb},
};

/// The size of the work.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many nodes
    #[arg(long, default_value_t = 1_000)]
    nodes: usize,
    /// How many roles a node
    #[arg(long, default_value_t = 100)]
    roles: usize,
    /// How many roles stand in one chain
    #[arg(long, default_value_t = 10)]
    depth: usize,
}

/// A World that is stepped without an engine around it.
struct Bare(World);

impl Bare {
    fn input(&mut self, input: Input) -> Result<Progress> {
        step(&mut self.0, input, SystemClock.now()).map_err(|refusal| anyhow!("{refusal}"))
    }

    fn command(&mut self, command: Command) -> Result<Progress> {
        self.input(Input::Command { by: Actor("bench".to_owned()), command })
    }

    /// Has every attempt that was dispatched succeed, and those that follow, but those of one node-role.
    fn carry_out(&mut self, progress: Progress, but: &NodeRoleId) -> Result<()> {
        let mut dispatched = progress.effects;
        while let Some(effect) = dispatched.pop() {
            let Effect::Dispatch { node, attempt } = effect else { continue };
            let known = self.0.attempts().get(&attempt).context("a dispatched attempt is under way")?;
            let report = if known.node_role == *but {
                Report::Failed(Failure {
                    kind: FailureKind::Error,
                    phase: None,
                    exit_code: Some(1),
                    message: "the one that fails".to_owned(),
                    retry_after: None,
                })
            } else {
                let out = known.inputs.values().next().map(|it| it.value.clone()).unwrap_or_default();
                Report::Succeeded { outputs: BTreeMap::from([("out".parse()?, out)]), converged: false, note: None }
            };
            let ended = Input::AttemptEnded { node: Some(node), attempt, report, phase: None };
            dispatched.extend(self.input(ended)?.effects);
        }
        Ok(())
    }
}

/// Measures it.
pub fn run(args: &Args) -> Result<Vec<Figure>> {
    let shape = Shape { roles: args.roles, depth: args.depth };
    let mut bare = Bare(World::default());
    let nodes: Vec<NodeName> = (0..args.nodes).map(|at| name(&format!("n{at:04}"))).collect::<Result<_>>()?;
    for node in &nodes {
        let (node, token) = stage::node(node);
        let here = node.name.clone();
        bare.command(Command::AddNode { node: Box::new(node), token })?;
        bare.input(Input::AgentConnected { node: here, held: Vec::new() })?;
    }
    let workload = Arc::new(shape.workload()?);
    let digest = workload.digest;
    bare.command(Command::ImportWorkload { workload })?;
    let groups = BTreeMap::from([(name("all")?, nodes.clone())]);
    let spec = DeploymentSpec { workload: digest, groups, profiles: Vec::new() };
    bare.command(Command::CreateDeployment { name: deployment()?, spec })?;

    let watch = Watch::start()?;
    let first = planned(&bare.0)?;
    let (seconds, cpu) = watch.seconds()?;
    let memory = peak_memory_mb()?;
    ensure!(first.steps.len() == args.nodes * args.roles, "the plan has other steps than nodes × roles");

    // The last role of a chain: nothing hangs on it, everything else becomes active.
    let failing = NodeRoleId {
        deployment: deployment()?,
        role: name(&format!("r{:03}", args.depth - 1))?,
        target: rebar_model::Target::Node(nodes[args.nodes / 2].clone()),
    };
    let accept = Command::Accept {
        deployment: deployment()?,
        plan: first.id,
        made: None,
        towards: None,
        grants: Vec::new(),
        allowed: Vec::new(),
    };
    drop(first);
    let progress = bare.command(accept)?;
    bare.carry_out(progress, &failing)?;
    let is_failed =
        |world: &World| world.node_role(&failing).is_some_and(|it| matches!(it.status.state, State::Failed { .. }));
    ensure!(is_failed(&bare.0), "the one that fails has not failed");

    let watch = Watch::start()?;
    let unchanged = planned(&bare.0)?;
    let (again, _) = watch.seconds()?;
    drop(unchanged);

    let watch = Watch::start()?;
    let retried = bare.command(Command::Retry { deployment: deployment()?, ids: Vec::new() })?;
    let (resumed, _) = watch.seconds()?;
    ensure!(retried.effects.iter().any(|it| matches!(it, Effect::Dispatch { .. })), "nothing was dispatched");
    ensure!(retried.changes.iter().all(|it| !matches!(it, Change::NodeRoleSpecified { .. })), "a retry plans nothing");

    Ok(vec![
        Figure::new("plan", seconds, "s", Bar::AtMost(1.0))
            .with("node_roles", args.nodes * args.roles)
            .with("cpu_seconds", cpu)
            .with("peak_memory_mb", memory)
            .with("unchanged_seconds", again),
        Figure::new("plan-memory", memory, "MiB", Bar::AtMost(500.0)),
        Figure::new("resume-after-failure", resumed, "s", Bar::AtMost(1.0)),
    ])
}

fn planned(world: &World) -> Result<rebar_model::Plan> {
    plan(world, &deployment()?).map_err(|errors| anyhow!("{errors:?}"))
}
