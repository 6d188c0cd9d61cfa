//! The binary `rebar`: the engine (`serve.rs`, the only place that names adapters) and every client command. Commands are in
//! `command/`, one noun or daily verb a file; the way to the engine in `client/`; pure screens in `screen/`; following work in
//! `live/`.

mod app;
mod args;
mod client;
mod clock;
mod command;
mod config;
mod data_dir;
mod demo;
mod exit;
mod failure;
mod live;
mod output;
mod screen;
mod serve;
mod system;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, error::ErrorKind};

pub use args::Cli;
pub use exit::Exit;

use crate::{app::App, output::Output};

/// Reads the command line, does what it says, and ends with the documented code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to be told if this fails.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { Exit::Done } else { Exit::Usage }.into();
        }
    };
    let output = Output::new(&cli.globals);
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(run(cli, output));
            // Nothing that still waits for a terminal or a socket may keep the program alive.
            runtime.shutdown_background();
            exit.into()
        }
        Err(error) => {
            output.insist(&format!("error: no threads: {error}"));
            Exit::Unexpected.into()
        }
    }
}

async fn run(cli: Cli, output: Output) -> Exit {
    let app = App::new(cli.globals, output);
    match command::run(&app, cli.command).await {
        Ok(exit) => exit,
        Err(failure) => {
            if !failure.is_silent() {
                app.output.insist(&screen::failure::render(&failure, &app.output.talk_look));
            }
            failure.exit
        }
    }
}

/// The whole grammar, for documentation and tests.
pub fn grammar() -> clap::Command {
    Cli::command()
}
