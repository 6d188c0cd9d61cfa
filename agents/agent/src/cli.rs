//! The command line: which of its several lives the program leads. It is also the helper commands of a role, by the name that it is
//! called with.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    daemon,
    disk::{
        budget::{LEAST_SPOOLS, MAX_SPOOLS},
        layout::State,
    },
    door::enrol::{self, Invitation},
    error::{Context, Error},
    helper, install,
    release::{boot, life, trust},
    supervise, user,
};

/// Where a machine's provider leaves what it is to enrol with.
pub const ENROL_FILE: &str = "/etc/rebar-agent/enrol.json";
/// The usual state directory.
pub const STATE: &str = "/var/lib/rebar-agent";

/// Rebar's agent.
#[derive(Debug, Parser)]
#[command(name = "rebar-agent", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run: keep a session with the engine and carry out what it sends.
    Run {
        /// Where the agent keeps what it must not forget.
        #[arg(long, default_value = STATE)]
        state: PathBuf,
        /// What to enrol with when this machine has no identity yet; removed afterwards.
        #[arg(long, default_value = ENROL_FILE)]
        enrol: PathBuf,
        /// What the logs that the engine does not have yet may take on disk together, in MiB.
        #[arg(long, env = "REBAR_AGENT_SPOOL_MIB", default_value_t = MAX_SPOOLS >> 20, value_parser = spool_mib())]
        spool_mib: u64,
    },
    /// Trade a one-time token for this machine's identity.
    Enrol {
        /// The engine's address, host:port.
        #[arg(long)]
        engine: String,
        /// The one-time token.
        #[arg(long, env = "REBAR_ENROL_TOKEN", hide_env_values = true)]
        token: String,
        /// SHA-256 of the engine's CA certificate, in hexadecimal.
        #[arg(long)]
        ca_fingerprint: String,
        /// A public key whose releases of the agent this machine takes; can be given several times.
        #[arg(long = "release-key", value_name = "KEY")]
        release_keys: Vec<String>,
        /// Where the agent keeps what it must not forget.
        #[arg(long, default_value = STATE)]
        state: PathBuf,
    },
    /// Take releases of the agent that these keys signed, and no others any more.
    Trust {
        /// The public keys, 64 hexadecimal digits each.
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
        /// Where the agent keeps what it must not forget.
        #[arg(long, default_value = STATE)]
        state: PathBuf,
    },
    /// Install this program as a systemd unit and start it.
    Install {
        /// Where the agent keeps what it must not forget.
        #[arg(long, default_value = STATE)]
        state: PathBuf,
    },
    /// Show the facts that the engine is told.
    Facts,
    /// Run attempts, one after the other, whose numbers come on standard input; started by the agent itself.
    #[command(hide = true)]
    Supervise {
        /// The agent's state directory.
        state: PathBuf,
        /// What the logs of all attempts may take on disk together, in bytes.
        spools: u64,
    },
    /// Become a release that is tried, and end when its trial does; used by the agent itself.
    #[command(hide = true)]
    OnTrial {
        /// The process that tries it.
        parent: u32,
        /// The program.
        program: PathBuf,
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Become another user and then another program; used by a supervisor.
    #[command(hide = true)]
    RunAs {
        /// The user.
        user: String,
        /// The program.
        program: String,
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Print an input of the role (in a role: `rebar-input`).
    Input(helper::input::Arguments),
    /// Set an output of the role (in a role: `rebar-output`).
    Output(helper::output::Arguments),
    /// Ask the agent for something (in a role: `rebar-control`).
    Control(helper::control::Arguments),
}

/// From what a few logs need to a tebibyte.
fn spool_mib() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(LEAST_SPOOLS >> 20..=1 << 20)
}

/// Leads the life that the command line asks for.
pub fn main() -> ExitCode {
    match run(parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rebar-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the command line. Called as `rebar-input`, the program is `rebar-agent input`.
fn parse() -> Command {
    let mut words: Vec<_> = std::env::args_os().collect();
    let name = words.first().map(PathBuf::from);
    let name = name.as_ref().and_then(|name| name.file_name()).and_then(|name| name.to_str()).unwrap_or_default();
    if let Some(helper) = helper::NAMES.iter().find(|helper| **helper == name) {
        let subcommand = helper.trim_start_matches("rebar-");
        words.splice(0..1, ["rebar-agent".into(), subcommand.into()]);
        let command =
            Arguments::command().mut_subcommand(subcommand, |command| command.bin_name(*helper).display_name(*helper));
        return match command.try_get_matches_from(words).and_then(|matches| Arguments::from_arg_matches(&matches)) {
            Ok(arguments) => arguments.command,
            Err(error) => error.exit(),
        };
    }
    Arguments::parse_from(words).command
}

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Run { state, enrol, spool_mib } => {
            log();
            boot::boot(&State::open(&state)?);
            runtime()?.block_on(serve(daemon::Options { state, enrol, spools: spool_mib << 20 }))
        }
        Command::Enrol { engine, token, ca_fingerprint, release_keys, state } => {
            log();
            let state = State::open(&state)?;
            let _lock = state.lock()?;
            let invitation = Invitation { engine, token, ca_fingerprint, release_keys };
            runtime()?.block_on(enrol::enrol(&state, &invitation)).map(|_| ())
        }
        Command::Trust { keys, state } => trust::pin(&State::open(&state)?, &keys),
        Command::Install { state } => install::install(&state),
        Command::Facts => helper::print(&crate::facts::collect(&crate::clock::boot_id(), None)),
        Command::Supervise { state, spools } => {
            log();
            supervise::run(&State::at(&state)?, spools)
        }
        Command::OnTrial { parent, program, arguments } => boot::on_trial(parent, &program, &arguments),
        Command::RunAs { user, program, arguments } => user::run_as(&user, &program, &arguments),
        Command::Input(arguments) => helper::input::run(&arguments),
        Command::Output(arguments) => helper::output::run(&arguments),
        Command::Control(arguments) => helper::control::run(&arguments),
    }
}

async fn serve(options: daemon::Options) -> Result<(), Error> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).at("/proc/self")?;
    let mut interrupt = signal(SignalKind::interrupt()).at("/proc/self")?;
    let asked = stop.clone();
    let listener = tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        asked.cancel();
    });
    let result = life::live(&options, stop).await;
    listener.abort();
    result
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().at("/proc/self")
}

fn log() {
    let levels = std::env::var("REBAR_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let levels = levels.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(lines).with(levels).init();
}
