//! The command line: what can be said, and nothing about what it does. Each noun's own arguments stand beside its commands in
//! `command/`.

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use rebar_model::Span;

use crate::{command, demo, serve};

/// Composes operations: small roles with declared inputs and outputs, scheduled over machines as a graph.
#[derive(Debug, Parser)]
#[command(
    name = "rebar",
    version,
    disable_help_subcommand = true,
    max_term_width = 110,
    after_help = "Examples:\n  rebar status                       what needs a person, what runs, what broke\n  rebar plan demo                    what would change, and why\n  rebar apply demo                   plan, ask, apply, follow\n  rebar explain demo                 why is it not done, and who must act\n\nMore: rebar help exit-codes | states | addressing | errors | environment | RB2005"
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, clap::Args)]
pub struct Globals {
    /// How data is printed; ndjson is a record a line, for watch, events and logs
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Common")]
    pub output: Format,
    /// When to use colours; NO_COLOR and CLICOLOR_FORCE are heard
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = "Common")]
    pub color: When,
    /// Only ASCII in signs and bars (of itself where the locale is not UTF-8)
    #[arg(long, global = true, help_heading = "Common")]
    pub ascii: bool,
    /// Say nothing beside data and errors
    #[arg(short, long, global = true, help_heading = "Common")]
    pub quiet: bool,
    /// Say more; twice to see every request
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Common")]
    pub verbose: u8,
    /// How progress is shown; of itself bars on a terminal, lines elsewhere
    #[arg(long, global = true, value_enum, default_value_t, value_name = "HOW", help_heading = "Common")]
    pub progress: Progress,
    /// The context to use instead of the current one
    #[arg(long, global = true, value_name = "NAME", help_heading = "Common")]
    pub context: Option<String>,
    /// Give up waiting after this long, as in 90s or 40m; the work goes on
    #[arg(long, global = true, value_name = "SPAN", help_heading = "Common")]
    pub timeout: Option<Span>,
}

/// How a list is arranged.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Arrange {
    /// Only these columns, in this order; those of -o wide too
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    pub columns: Vec<String>,
    /// Sort by a column, as people count; downwards with a `-` before its name
    #[arg(long, allow_hyphen_values = true, value_name = "COLUMN")]
    pub sort: Option<String>,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For people with wide terminals.
    Wide,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
    /// Names only, one a line.
    Name,
    /// One JSON document a line.
    Ndjson,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On terminals.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// Bars on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// Bars.
    Bar,
    /// A line for what is finished.
    Plain,
    /// A record for what is finished.
    Ndjson,
    /// Not at all.
    None,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What needs a person, what runs, what broke
    Status(command::status::Args),
    /// What would change, on which node, and why; changes nothing
    Plan(command::plan::Args),
    /// Try a deployment on simulated nodes, with faults, before a real machine is touched
    Rehearse(Box<command::rehearse::Args>),
    /// Plan, show, ask, apply, and follow until nothing runs any more
    Apply(command::apply::Args),
    /// Follow a deployment
    Watch(command::watch::Args),
    /// Wait until a deployment stands somewhere; fails fast when it cannot get there
    Wait(command::wait::Args),
    /// Why is it not done, and who must act
    Explain(command::explain::Args),
    /// Try again what failed
    Retry(command::retry::Args),
    /// The log of an attempt
    Logs(command::logs::Args),
    /// Wipe a deployment and build it again
    Redeploy(command::redeploy::Args),
    /// Wipe and rebuild several times with nobody's hand on it, and keep the proof
    Prove(command::prove::Args),
    /// What happened, in the engine's order
    #[command(alias = "event")]
    Events(command::events::Args),
    /// Workload packages
    #[command(subcommand, alias = "workloads")]
    Workload(command::workload::Verb),
    /// Machines under care
    #[command(subcommand, alias = "nodes")]
    Node(command::node::Verb),
    /// The agents of nodes: releases, and the upgrade of all of them
    #[command(subcommand, alias = "agents")]
    Agent(command::agent::Verb),
    /// Workloads bound to nodes and parameters
    #[command(subcommand, alias = "deployments")]
    Deployment(command::deployment::Verb),
    /// What stops a deployment when things go wrong
    #[command(subcommand, alias = "breakers")]
    Breaker(command::breaker::Verb),
    /// Parameters at their levels, and where values come from
    #[command(subcommand, alias = "attrs")]
    Attr(command::attr::Verb),
    /// Named bundles of parameter values
    #[command(subcommand, alias = "profiles")]
    Profile(command::profile::Verb),
    /// What the services beside the nodes have
    #[command(subcommand, alias = "services")]
    Service(command::service::Verb),
    /// The tokens that operators show to the engine
    #[command(subcommand, alias = "tokens")]
    Token(command::token::Verb),
    /// Engines that you logged in to
    #[command(subcommand, alias = "contexts")]
    Context(command::context::Verb),
    /// Pin an engine's CA and keep its token
    Login(command::login::Args),
    /// Forget a context
    Logout(command::login::LogoutArgs),
    /// Which engine, and as whom
    Whoami,
    /// Run the engine
    Serve(Box<serve::Args>),
    /// Take a backup of an engine's database, whether the engine runs or not
    Backup(command::backup::Args),
    /// Restore a backup into an empty database, for an engine to start on
    Restore(command::restore::Args),
    /// Show the main job on this machine: deploy, fetch a page, redeploy
    Demo(Box<demo::Args>),
    /// Print the completions of a shell
    Completion(command::completion::Args),
    /// Print the manual page, or write those of all commands
    Man(command::man::Args),
    /// A topic (exit-codes, states, addressing, errors, environment), an error (RB2005), or a command
    Help(command::help::Args),
    /// The versions of this program and of the engine
    Version,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_is_for() {
        fn look(command: &clap::Command, path: &str) {
            for sub in command.get_subcommands() {
                let path = format!("{path} {}", sub.get_name());
                assert!(sub.get_about().is_some(), "{path} says nothing");
                look(sub, &path);
            }
        }
        look(&Cli::command(), "rebar");
    }

    /// A name that stands for two things is found by clap only when the command is used.
    #[test]
    fn no_argument_hides_a_global_one() {
        fn look(command: &clap::Command, globals: &[String]) {
            for sub in command.get_subcommands() {
                for argument in sub.get_arguments() {
                    let id = argument.get_id().to_string();
                    assert!(!globals.contains(&id), "`{id}` of {} is a global argument too", sub.get_name());
                }
                look(sub, globals);
            }
        }
        let command = Cli::command();
        let globals: Vec<String> = command.get_arguments().map(|it| it.get_id().to_string()).collect();
        look(&command, &globals);
    }

    #[test]
    fn a_bare_yes_wipes_nothing() {
        for line in ["rebar redeploy demo --yes", "rebar prove demo --yes", "rebar deployment destroy demo --yes"] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
