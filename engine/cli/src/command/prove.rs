//! `rebar prove`: wipes and rebuilds a deployment several times with nobody's hand on it, and keeps the proof.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use rebar_api::types::{DeploymentStatus, OutputsQuery, WorkloadView};
use rebar_model::{DeploymentName, Ident, NodeName, Source};
use serde_json::Value;

use super::{protected::Allowed, redeploy::describe};
use crate::{
    app::App,
    client::Client,
    clock, config,
    exit::Exit,
    failure::{Failure, Trouble},
    live::{self, Ended, Follow, Until, Why},
    output,
    screen::{
        self,
        proof::{Cycle, Proof},
    },
};

/// What to prove.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar prove demo                               twice, asks for the name\n  rebar prove demo --cycles 3 --yes=demo --record proof.json"
)]
pub struct Args {
    /// The deployment; it has to be active
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// How many times
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N")]
    pub cycles: u32,
    /// Confirm by the name of the deployment
    #[arg(long, value_name = "NAME")]
    pub yes: Option<String>,
    /// The protected roles that may be taken away
    #[command(flatten)]
    pub allowed: Allowed,
    /// Keep the record here too
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// What a deployment offers, and whether it has to be the same after a rebuild.
type Outputs = BTreeMap<Ident, (Option<Value>, bool)>;

/// Proves.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let name = &args.name;
    let status = client.status(name).await?;
    if !status.active {
        return Err(Failure::new(
            Trouble::Unfit,
            format!("`{name}` is not active, and a proof starts from what works"),
        )
        .fix(format!("rebar apply {name}, or rebar explain {name}")));
    }
    args.allowed.refuse(&status.protected, &format!("rebar prove {name}"))?;
    app.confirm_name(name.as_str(), args.yes.as_deref(), &describe(&status))?;
    let workload = client.workload(&status.workload.digest.to_string()).await?;
    let before = outputs(client, name, &workload).await?;
    let mut proof = begin(client, &args, &status).await?;
    for number in 1..=args.cycles {
        app.output.say(&format!("cycle {number} of {}", args.cycles));
        let Some(cycle) = cycle(app, client, &args, number, &status, &workload, &before, &mut proof.unstable).await?
        else {
            app.output.insist(&live::detached(name));
            return Ok(Exit::Detached);
        };
        tell(app, &cycle)?;
        let ok = cycle.ok;
        proof.cycles.push(cycle);
        if !ok {
            break;
        }
    }
    finish(app, &args, proof)
}

/// Tells how a cycle went, once: to people it is data, for programs it is in the record that comes last.
fn tell(app: &App, cycle: &Cycle) -> Result<(), Failure> {
    if app.output.is_for_people() {
        return app.output.print(&screen::proof::cycle(cycle, &app.output.look));
    }
    app.output.say(&screen::proof::cycle(cycle, &app.output.talk_look));
    Ok(())
}

/// A proof that says nothing yet.
async fn begin(client: &Client, args: &Args, status: &DeploymentStatus) -> Result<Proof, Failure> {
    let nodes: std::collections::BTreeSet<&NodeName> =
        status.node_roles.iter().filter_map(|it| it.node.as_ref()).collect();
    Ok(Proof {
        certificate: String::new(),
        ok: false,
        deployment: args.name.clone(),
        workload: status.workload.reference.clone(),
        digest: status.workload.digest.to_string(),
        revision: status.revision,
        nodes: nodes.len(),
        node_roles: status.node_roles.len(),
        engine: client.version().await?.version,
        asked: args.cycles,
        cycles: Vec::new(),
        unstable: Vec::new(),
        started_at: clock::now(),
        ended_at: clock::now(),
    })
}

/// One wipe and rebuild; none if a person went away.
#[expect(clippy::too_many_arguments, reason = "all that a cycle compares with; it has one caller")]
async fn cycle(
    app: &App,
    client: &Client,
    args: &Args,
    number: u32,
    first: &DeploymentStatus,
    workload: &WorkloadView,
    before: &Outputs,
    unstable: &mut Vec<String>,
) -> Result<Option<Cycle>, Failure> {
    let name = &args.name;
    let (started_at, start) = (clock::now(), Instant::now());
    client.rebuild(name, &args.allowed.clone().into()).await?;
    let follow = Follow { name: name.clone(), until: Until::Settled, as_data: false };
    let ended = live::follow(app, client, &follow).await?;
    if ended.why == Why::Detached {
        return Ok(None);
    }
    let seconds = start.elapsed().as_secs_f64();
    let wipe_seconds = ended.wiped_after.map_or(0.0, |it| it.as_secs_f64()).min(seconds);
    let mut failure = ended_badly(&ended, first, number);
    let mut differing = Vec::new();
    if failure.is_none() {
        differing = compare(before, &outputs(client, name, workload).await?, unstable);
        if !differing.is_empty() {
            failure = Some(format!("stable outputs differ: {}", differing.join(", ")));
        }
    }
    Ok(Some(Cycle {
        number,
        started_at,
        wipe_seconds: round(wipe_seconds),
        rebuild_seconds: round(seconds - wipe_seconds),
        seconds: round(seconds),
        ok: failure.is_none(),
        differing,
        failure,
    }))
}

/// Why a cycle did not go well; none if it did.
fn ended_badly(ended: &Ended, first: &DeploymentStatus, number: u32) -> Option<String> {
    let Some(status) = &ended.status else { return Some("the deployment is gone".to_owned()) };
    if ended.why == Why::TimedOut {
        return Some("not active in time".to_owned());
    }
    if !status.active {
        return Some(format!("not active: {}", screen::status::counts(&status.counts)));
    }
    // What somebody applied or rebuilt meanwhile is not this proof's doing.
    if status.revision != first.revision {
        return Some(format!("somebody applied revision {} meanwhile", status.revision));
    }
    let rebuilds = first.rebuilds + u64::from(number);
    (status.rebuilds != rebuilds).then(|| format!("rebuilt {} times instead of {rebuilds}", status.rebuilds))
}

/// What a deployment offers; secrets by their fingerprints.
async fn outputs(client: &Client, name: &DeploymentName, workload: &WorkloadView) -> Result<Outputs, Failure> {
    let outputs = client.outputs(name, OutputsQuery::default()).await?;
    Ok(outputs.into_iter().map(|it| (it.name.clone(), (it.value, is_stable(workload, &it.name)))).collect())
}

/// Whether an output has to be the same after a rebuild: its role calls it stable, or no role makes it.
fn is_stable(workload: &WorkloadView, name: &Ident) -> bool {
    let Some(output) = workload.workload.spec.outputs.get(name) else { return false };
    match &output.from {
        Source::Role { role, output, .. } => workload
            .workload
            .roles
            .get(role)
            .and_then(|it| it.manifest.spec.outputs.get(output))
            .is_some_and(|it| it.stable),
        _ => true,
    }
}

/// The stable outputs that differ; the others are written down.
fn compare(before: &Outputs, after: &Outputs, unstable: &mut Vec<String>) -> Vec<String> {
    let mut differing = Vec::new();
    for (name, (value, stable)) in before {
        let same = after.get(name).is_some_and(|(it, _)| it == value);
        match (same, stable) {
            (true, _) => {}
            (false, true) => differing.push(name.to_string()),
            (false, false) if unstable.iter().all(|it| it != name.as_str()) => unstable.push(name.to_string()),
            (false, false) => {}
        }
    }
    differing
}

/// Keeps the proof and shows it.
fn finish(app: &App, args: &Args, mut proof: Proof) -> Result<Exit, Failure> {
    proof.ended_at = clock::now();
    proof.ok = proof.cycles.len() == args.cycles as usize && proof.cycles.iter().all(|it| it.ok);
    let hash = blake3::hash(output::json(&proof)?.as_bytes());
    proof.certificate = format!("pf-{}", hash.to_hex().chars().take(8).collect::<String>());
    let text = output::json(&proof)? + "\n";
    let kept = config::state_dir()?.join("proofs").join(format!("{}-{}.json", proof.deployment, proof.certificate));
    for path in std::iter::once(&kept).chain(&args.record) {
        if let Err(error) = config::write_private(path, text.as_bytes()) {
            app.output.insist(&format!("warning: the record cannot be kept in {}: {error}", path.display()));
        }
    }
    app.output.data(&proof, || vec![proof.certificate.clone()], |look| screen::proof::render(&proof, look))?;
    app.output.say(&format!("record  {}", args.record.as_ref().unwrap_or(&kept).display()));
    Ok(if proof.ok { Exit::Done } else { Exit::Failed })
}

/// Seconds with three digits behind the point.
fn round(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}
