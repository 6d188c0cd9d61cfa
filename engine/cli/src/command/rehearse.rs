//! `rebar rehearse`: a deployment on simulated nodes, with the same plan and the same screens, before a real machine is touched. The
//! engine of it is in `rebar-rehearsal`; here are its arguments, the runs, and what is told of them.

mod source;

use std::collections::BTreeMap;

use rebar_api::types::{ExplainQuery, ProblemItem};
use rebar_model::{DeploymentName, GroupName, Ident, RoleName, Span};
use rebar_ports::Entropy;
use rebar_rehearsal::{Fault, Rehearsal, RehearsalError, Scenario};

use super::deployment::Values;
use crate::{
    app::App,
    client::Client,
    exit::Exit,
    failure::{Failure, Trouble},
    live::{self, Follow, Until, Why},
    screen::{
        self,
        rehearsal::{Picture, Run},
    },
    system::SystemEntropy,
};

const HELP: &str = "\
Faults, KIND[:WHAT][=AMOUNT][xFACTOR][@WHEN][+FOR], can be given several times:
  fail=5%            attempts fail, each with this chance; fail:ROLE=5% of one role
  tempfail=5%        they ask to be tried again
  hang=1%            they hang until their time-out
  lose=10@5m         ten nodes are lost for good, five minutes in; lose:GROUP=5%@5m of one group
  cut=20%@10m+5m     nobody hears of a fifth of the nodes for five minutes; their work goes on
  slow=10%x4         a tenth of the nodes takes four times as long for everything
  engine-restart@7m  the engine is killed, and starts again after 5s; +1m after a minute

Examples:
  rebar rehearse ./docker-swarm --nodes 1000
  rebar rehearse ./docker-swarm --group manager=5 --group worker=195 --fault lose=10@3m --fault engine-restart@2m
  rebar rehearse demo --nodes 500 --fault fail=2%     a deployment of the engine at hand, with its history
  rebar rehearse ./docker-swarm -t ha --duration docker-engine=40s..2m --runs 20 -o json";

/// What to rehearse.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The folder of a package, written with a `/` as in ./swarm, or a deployment of the engine
    #[arg(value_name = "PACKAGE|DEPLOYMENT")]
    pub target: String,
    /// How many nodes there are in all; they go to the groups that have no most
    #[arg(short, long, value_name = "COUNT")]
    pub nodes: Option<usize>,
    /// How many nodes a group has
    #[arg(short, long = "group", value_name = "GROUP=COUNT", value_parser = group)]
    pub groups: Vec<(GroupName, usize)>,
    /// A named shape of the workload: its groups and its parameter values
    #[arg(short, long, value_name = "TOPOLOGY")]
    pub topology: Option<String>,
    /// Values of parameters
    #[command(flatten)]
    pub values: Values,
    /// The folder of a package that the package uses; can be given several times
    #[arg(long = "with", value_name = "DIR")]
    pub with: Vec<std::path::PathBuf>,
    /// Something that goes wrong; can be given several times, see below
    #[arg(short, long = "fault", value_name = "FAULT")]
    pub faults: Vec<String>,
    /// What all chance follows from: the same gives the same rehearsal again
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// How many times, each with another seed, to say how sure the expected duration is
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub runs: u32,
    /// The deployment whose attempts say how long roles take; of a deployment its own
    #[arg(long, value_name = "DEPLOYMENT")]
    pub history: Option<DeploymentName>,
    /// How long a role takes: half of its attempts less, 19 of 20 less than the second
    #[arg(long = "duration", value_name = "ROLE=SPAN[..SPAN]", value_parser = duration)]
    pub durations: Vec<(RoleName, Span, Span)>,
    /// The value of an output that is not to be made up, as JSON or text
    #[arg(long = "value", value_name = "ROLE.OUTPUT=VALUE", value_parser = value)]
    pub outputs: Vec<((RoleName, Ident), serde_json::Value)>,
    /// What the simulated machines are
    #[arg(long, value_name = "OS/ARCH", default_value = "debian/amd64", value_parser = platform)]
    pub platform: (String, String),
}

fn group(text: &str) -> Result<(GroupName, usize), String> {
    let (group, count) = text.split_once('=').ok_or("write GROUP=COUNT")?;
    let count = count.parse().map_err(|_| format!("`{count}` is not a number of nodes"))?;
    Ok((group.parse().map_err(|error: rebar_model::InvalidName| error.to_string())?, count))
}

fn duration(text: &str) -> Result<(RoleName, Span, Span), String> {
    let (role, spans) = text.split_once('=').ok_or("write ROLE=SPAN, as in web=30s or web=30s..2m")?;
    let (median, p95) = spans.split_once("..").unwrap_or((spans, spans));
    let span = |text: &str| text.parse::<Span>().map_err(|error| error.to_string());
    let (median, p95) = (span(median)?, span(p95)?);
    if p95 < median {
        return Err(format!("`{spans}`: half of the attempts cannot take longer than 19 of 20"));
    }
    Ok((role.parse().map_err(|error: rebar_model::InvalidName| error.to_string())?, median, p95))
}

fn value(text: &str) -> Result<((RoleName, Ident), serde_json::Value), String> {
    let (place, value) = text.split_once('=').ok_or("write ROLE.OUTPUT=VALUE")?;
    let (role, output) = place.split_once('.').ok_or("write ROLE.OUTPUT=VALUE")?;
    let role = role.parse().map_err(|error: rebar_model::InvalidName| error.to_string())?;
    let output = output.parse().map_err(|error: rebar_model::InvalidName| error.to_string())?;
    Ok(((role, output), super::set::guess(value)))
}

fn platform(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((os, arch)) if !os.is_empty() && matches!(arch, "amd64" | "arm64") => Ok((os.to_owned(), arch.to_owned())),
        _ => Err("write OS/ARCH, as in debian/amd64 or ubuntu/arm64".to_owned()),
    }
}

/// Rehearses.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let faults: Vec<Fault> = args.faults.iter().map(|it| it.parse()).collect::<Result<_, _>>().map_err(refused)?;
    let seed = args.seed.unwrap_or_else(any_seed);
    let Some((scenario, notes)) = source::scenario(app, &args, faults, seed).await? else {
        return Ok(Exit::Invalid);
    };
    let mut rehearsal = Rehearsal::prepare(scenario.clone()).await.map_err(refused)?;
    let client = Client::inside(rehearsal.door(), rehearsal.clock(), rehearsal.token())?;
    let plan = client.plan(&scenario.deployment, None).await?;
    if app.output.is_for_people() {
        app.output.say(&screen::plan::draft(&plan, &app.output.talk_look));
    }
    app.output.say(&screen::rehearsal::announce(&scenario, &notes));
    let mut calm = None;
    if !scenario.faults.is_empty() {
        app.output.say("first without the faults");
        calm = Some(quietly(Scenario { faults: Vec::new(), ..scenario.clone() }).await?);
    }
    if let Some(why) = watch(app, &client, &mut rehearsal, &scenario.deployment).await? {
        return Ok(given_up(app, why));
    }
    let report = rehearsal.report().await.map_err(refused)?;
    let status = client.status(&scenario.deployment).await?;
    let mut explanation = None;
    if !status.active {
        explanation = Some(client.explain(&scenario.deployment, &ExplainQuery::default()).await?);
    }
    // Its memory is not needed any more; the further runs need theirs.
    drop(rehearsal);
    let mut runs = vec![Run::of(&report)];
    for more in 1..u64::from(args.runs) {
        app.output.say(&format!("run {} of {}", more + 1, args.runs));
        runs.push(quietly(Scenario { seed: seed.wrapping_add(more), ..scenario.clone() }).await?);
    }
    let exit = live::exit_of(&status);
    let picture = Picture { report, calm, runs, notes, status, explanation };
    let name = scenario.deployment.to_string();
    app.output.data(&picture, || vec![name], |look| screen::rehearsal::render(&picture, look))?;
    Ok(exit)
}

/// Accepts the plan and follows it to its end, by the clock of the rehearsal; why not, if a person did not want to.
async fn watch(
    app: &App,
    client: &Client,
    rehearsal: &mut Rehearsal,
    name: &DeploymentName,
) -> Result<Option<Why>, Failure> {
    rehearsal.accept().await.map_err(refused)?;
    let since = rehearsal.clock().now();
    let until = Until::Over { since, looked: rehearsal.go(), over: rehearsal.over() };
    let follow = Follow { name: name.clone(), until, as_data: false };
    let why = live::follow(app, client, &follow).await?.why;
    Ok(matches!(why, Why::Detached | Why::TimedOut).then_some(why))
}

/// A run that nobody looks at.
async fn quietly(scenario: Scenario) -> Result<Run, Failure> {
    let mut rehearsal = Rehearsal::prepare(scenario).await.map_err(refused)?;
    rehearsal.accept().await.map_err(refused)?;
    rehearsal.go().notify_one();
    Ok(Run::of(&rehearsal.report().await.map_err(refused)?))
}

/// Somebody went away, or does not want to wait any longer.
fn given_up(app: &App, why: Why) -> Exit {
    let (text, exit) = match why {
        Why::TimedOut => {
            ("the rehearsal takes longer than --timeout allows; it is over, and nothing was touched", Exit::TimedOut)
        }
        _ => ("the rehearsal is over; nothing was touched", Exit::Detached),
    };
    app.output.insist(text);
    exit
}

/// A seed that people can type.
fn any_seed() -> u64 {
    let bytes = SystemEntropy.bytes();
    u64::from(u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// What a command ends with that cannot rehearse.
fn refused(error: RehearsalError) -> Failure {
    let (exit, fix) = match &error {
        RehearsalError::Fault { .. } => (Exit::Usage, Some("rebar rehearse --help shows how faults are written")),
        RehearsalError::Size(_) | RehearsalError::NoGroup { .. } => {
            (Exit::Usage, Some("say --nodes COUNT, or --group GROUP=COUNT"))
        }
        RehearsalError::NoRole { .. } => (Exit::Usage, None),
        RehearsalError::Unmade(_) => (
            Exit::Invalid,
            Some("say --value ROLE.OUTPUT=VALUE or --set-secret, or give the schema an entry under `examples`"),
        ),
        RehearsalError::Endless => (Exit::TimedOut, None),
        RehearsalError::Engine(_) => (Exit::Unexpected, None),
    };
    let item = |it: &rebar_rehearsal::Unmade| ProblemItem {
        message: it.to_string(),
        severity: "error".to_owned(),
        ..ProblemItem::default()
    };
    let items = match &error {
        RehearsalError::Unmade(unmade) => unmade.iter().map(item).collect(),
        _ => Vec::new(),
    };
    let failure = Failure { code: Some(error.code().to_owned()), items, ..Failure::plain(exit, error.to_string()) };
    match fix {
        Some(fix) => failure.fix(fix),
        None => failure,
    }
}

/// A mistake of the command line.
fn wrong(message: impl Into<String>) -> Failure {
    Failure::new(Trouble::Argument, message)
}

/// The groups that a person named, each once.
fn named(groups: &[(GroupName, usize)]) -> Result<BTreeMap<GroupName, usize>, Failure> {
    let mut named = BTreeMap::new();
    for (group, count) in groups {
        if named.insert(group.clone(), *count).is_some() {
            return Err(wrong(format!("--group names `{group}` twice")));
        }
    }
    Ok(named)
}
