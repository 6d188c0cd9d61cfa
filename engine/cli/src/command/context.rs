//! `rebar context`: the engines that somebody logged in to. Never prints a token.

use serde::Serialize;

use crate::{
    app::App,
    args::Arrange,
    config,
    exit::Exit,
    failure::{Failure, Trouble},
    screen::{Table, Text, Tone, toned},
};

/// What to do with contexts.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// List contexts
    #[command(alias = "ls")]
    List(Arrange),
    /// Make a context the current one
    Use {
        /// Which one
        name: String,
    },
}

/// A context, without its token.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    url: String,
    ca_fingerprint: Option<String>,
    current: bool,
}

/// Does something with contexts.
pub fn run(app: &App, verb: Verb) -> Result<Exit, Failure> {
    let path = config::path()?;
    let mut config = config::load(&path)?;
    match verb {
        Verb::List(arrange) => {
            let current = app.globals.context.as_ref().or(config.current.as_ref());
            let shown: Vec<Shown> = config
                .contexts
                .iter()
                .map(|(name, it)| Shown {
                    name: name.clone(),
                    url: it.url.clone(),
                    ca_fingerprint: crate::client::ca_fingerprint(&it.ca),
                    current: current == Some(name),
                })
                .collect();
            app.output.table(
                &shown,
                |it| it.name.clone(),
                &arrange,
                |look| {
                    let mut table = Table::new(look, &["CONTEXT", "ENGINE", "CA", ""]);
                    for it in &shown {
                        let short =
                            it.ca_fingerprint.as_deref().unwrap_or_default().chars().take(16).collect::<String>();
                        let current = if it.current { toned(Tone::Good, "current") } else { Text::from(" ") };
                        table.row(vec![(&it.name).into(), (&it.url).into(), short.into(), current]);
                    }
                    table
                },
            )?;
        }
        Verb::Use { name } => {
            if !config.contexts.contains_key(&name) {
                return Err(Failure {
                    exit: Exit::NotFound,
                    ..Failure::new(Trouble::NoContext, format!("there is no context `{name}`"))
                }
                .fix("rebar context list"));
            }
            config.current = Some(name.clone());
            config::save(&path, &config)?;
            app.output.say(&format!("{name} is the current context"));
        }
    }
    Ok(Exit::Done)
}
