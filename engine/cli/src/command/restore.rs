//! `rebar restore`: a backup into an empty database. What has to be decided about the restored World, the scheduler decides: agents
//! are away, and attempts that they were carrying out ended in a way that nobody here knows.

use std::{
    convert::Infallible,
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rebar_model::{Actor, Attempt, Change, Epoch, FailureKind, Report, World};
use rebar_scheduler::{Input, step};
use rebar_store_sql::{Restored, Restoring, RowCounts, restore};
use serde::Serialize;

use super::place::Place;
use crate::{
    app::App,
    clock,
    data_dir::{DataDir, InUse},
    exit::Exit,
    failure::{Failure, Trouble},
    screen::words,
};

/// What to restore, and where to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar restore /var/backups/rebar.backup --data /var/lib/rebar\n  rebar restore rebar.backup --database postgres://rebar@db/rebar\n  ssh safe cat rebar.backup | rebar restore -\n\nThe directory has to have the seal.key of the engine that the backup is of, the database has to be empty, and no engine may run on either."
)]
pub struct Args {
    /// The file that `rebar backup` wrote; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An epoch that agents have obeyed, where they refuse the restored engine because of it
    #[arg(long, default_value_t = 0, value_name = "EPOCH", hide_default_value = true)]
    epoch_at_least: u64,
    #[command(flatten)]
    place: Place,
}

/// What was restored.
#[derive(Debug, Serialize)]
struct View {
    taken_at: Timestamp,
    taken_by: String,
    applied: u64,
    rows: u64,
    tables: RowCounts,
    epoch: u64,
    attempts_given_up: usize,
    seconds: f64,
}

/// Restores a backup.
pub async fn run(app: &App, args: &Args) -> Result<Exit, Failure> {
    let now = clock::now();
    // First of all, so that a mistyped directory is not made.
    let key = args.place.key()?;
    let file = open(&args.file)?;
    let _lock = DataDir::open(&args.place.data).map_err(|error| unusable(&error))?;
    let how = Restoring { now, epoch_at_least: Epoch(args.epoch_at_least), by: Actor("restore".to_owned()) };
    let mut given_up = 0;
    let settled = |world: World| {
        given_up = on_agents(&world).count();
        Ok::<_, Infallible>(settle(world, now))
    };
    let restored = restore(&args.place.address(), &key, how, file, settled).await;
    let restored = restored.map_err(|error| args.place.failure(&error))?;
    let view = View::new(restored, given_up, clock::now().duration_since(now).as_secs_f64());
    app.output.data(&view, || vec![args.place.data.display().to_string()], |_| view.sentences())?;
    app.output.say("start the engine on it as before; agents that it knows come back by themselves");
    Ok(Exit::Done)
}

fn open(path: &Path) -> Result<Box<dyn Read + Send>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let trouble = |error| Failure::new(Trouble::File, format!("{}: {error}", path.display()));
    Ok(Box::new(BufReader::new(File::open(path).map_err(trouble)?)))
}

fn unusable(error: &anyhow::Error) -> Failure {
    let message = format!("{error:#}");
    if error.is::<InUse>() {
        return Failure { code: Some("RB4107".to_owned()), ..Failure::plain(Exit::Conflict, message) };
    }
    Failure::new(Trouble::File, message)
}

/// What changes before an engine may go on: no agent is here, and what agents were carrying out has failed as if they had been lost.
/// It must not be handed out again under its number: an agent may have ended it since, told an engine so and forgotten it.
fn settle(mut world: World, now: Timestamp) -> Vec<Change> {
    let here = world.nodes().values().filter(|it| it.is_here());
    let away = here.map(|it| Input::AgentLost { node: it.name.clone() });
    let lost = on_agents(&world).map(|it| Input::AttemptEnded {
        node: it.node.clone(),
        attempt: it.id,
        report: Report::Failed(unknown_end()),
        phase: None,
    });
    let inputs: Vec<Input> = away.chain(lost).collect();
    // What is refused speaks of nothing that stands in this World; a backup is not worth less because of it.
    inputs.into_iter().filter_map(|input| step(&mut world, input, now).ok()).flat_map(|it| it.changes).collect()
}

/// The attempts under way that agents carry out. Those of services go on: a service is asked again for the whole of what is desired.
fn on_agents(world: &World) -> impl Iterator<Item = &Attempt> {
    let remote = |it: &&Attempt| {
        it.node.is_some() && world.role_carried_out(it).is_none_or(|it| it.manifest.spec.runner.on_agent())
    };
    world.attempts().values().filter(remote)
}

fn unknown_end() -> rebar_model::Failure {
    rebar_model::Failure {
        kind: FailureKind::AgentLost,
        phase: None,
        exit_code: None,
        message: "a backup was restored that was taken while this ran: how it ended is not known".to_owned(),
        retry_after: None,
    }
}

impl View {
    fn new(restored: Restored, attempts_given_up: usize, seconds: f64) -> Self {
        Self {
            taken_at: restored.label.at,
            taken_by: restored.label.version,
            applied: restored.label.applied.0,
            rows: restored.rows.values().sum(),
            tables: restored.rows,
            epoch: restored.epoch.0,
            attempts_given_up,
            seconds,
        }
    }

    fn sentences(&self) -> String {
        let rows = words::count(usize::try_from(self.rows).unwrap_or(usize::MAX), "row");
        let attempts = words::count(self.attempts_given_up, "attempt");
        format!(
            "{rows} up to change {}, as of {}, in {:.1} s\n{attempts} under way given up, epoch {}\n",
            self.applied,
            words::moment(self.taken_at),
            self.seconds,
            self.epoch
        )
    }
}
