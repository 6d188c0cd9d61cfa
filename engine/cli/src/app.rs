//! What a command is given: where words go, and the way to the engine once it is needed.

use std::{sync::OnceLock, time::Duration};

use crate::{
    args::Globals,
    client::Client,
    config::{self, Said},
    failure::{Failure, Trouble},
    output::Output,
};

/// What a command is given.
#[derive(Debug)]
pub struct App {
    /// What was said for every command.
    pub globals: Globals,
    /// Where words go.
    pub output: Output,
    client: OnceLock<Client>,
}

impl App {
    /// For one run of the program.
    pub fn new(globals: Globals, output: Output) -> Self {
        Self { globals, output, client: OnceLock::new() }
    }

    /// The way to the engine that flags, environment and file name.
    pub async fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let said = Said::from_env(self.globals.context.as_deref())?;
        // A broken file does not stand in the way of those who say everything in the environment.
        let whole = said.url.is_some() && said.token.is_some() && said.ca.is_some();
        let config = if whole { config::Config::default() } else { config::load(&config::path()?)? };
        let client = Client::connect(&config::decide(&config, &said)?, self.output.verbosity).await?;
        Ok(self.client.get_or_init(|| client))
    }

    /// How long to wait at most, where the user said so.
    pub fn timeout(&self) -> Option<Duration> {
        self.globals.timeout.map(rebar_model::Span::as_duration)
    }

    /// Has a person confirm something that destroys: by typing the name, or with `--yes=NAME`.
    pub fn confirm_name(&self, name: &str, yes: Option<&str>, what: &str) -> Result<(), Failure> {
        let unconfirmed = |why: String| {
            Failure::new(Trouble::Unconfirmed, why).fix(format!("say --yes={name} if that is what you want"))
        };
        match yes {
            Some(given) if given == name => Ok(()),
            Some(given) => Err(unconfirmed(format!("--yes={given} does not name `{name}`: {what}"))),
            None if self.output.can_ask() => {
                self.output.insist(what);
                let answer = self.output.ask(&format!("To confirm type the name, {name}:"))?;
                if answer == name {
                    Ok(())
                } else {
                    Err(unconfirmed(format!("`{answer}` is not `{name}`: nothing was done")))
                }
            }
            None => Err(unconfirmed(format!("{what}; nobody is there to confirm it"))),
        }
    }

    /// Asks whether to go on.
    pub fn confirm(&self, question: &str) -> Result<(), Failure> {
        if !self.output.can_ask() {
            return Err(Failure::new(Trouble::Unconfirmed, "nobody is there to accept the plan").fix("say --yes"));
        }
        match self.output.ask(&format!("{question} [y/N]"))?.to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::new(Trouble::Unconfirmed, "not accepted: nothing was done")),
        }
    }
}
