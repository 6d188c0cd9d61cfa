//! `rebar token`: the tokens that operators show to the engine.

use rebar_api::types::CreateToken;
use rebar_model::Span;

use crate::{
    app::App,
    args::Arrange,
    clock,
    exit::Exit,
    failure::{Failure, Trouble},
    screen,
};

/// What to do with tokens.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Make a token; it is printed this once
    #[command(alias = "add")]
    Create {
        /// Whose it is
        name: String,
        /// How long it is worth something, as in 30d; for ever if not said
        #[arg(long, value_name = "SPAN")]
        ttl: Option<Span>,
    },
    /// List tokens, without themselves
    Ls(Arrange),
    /// Take tokens back
    Rm {
        /// The first digits of the token's hash, or its owner's name where there is only one
        #[arg(value_name = "TOKEN", required = true)]
        ids: Vec<String>,
    },
}

/// Does something with tokens.
pub async fn run(app: &App, verb: Verb) -> Result<Exit, Failure> {
    let client = app.client().await?;
    match verb {
        Verb::Create { name, ttl } => {
            let created = client.create_token(&CreateToken { name, ttl }).await?;
            // Data alone on stdout, so that it can be written to a file.
            app.output.data(&created, || vec![created.token.clone()], |_| format!("{}\n", created.token))?;
            app.output.say(&format!("the token of {}; it is not shown again", created.view.name));
        }
        Verb::Ls(arrange) => {
            let tokens = client.tokens().await?;
            app.output.table(
                &tokens,
                |it| it.id.0.to_string(),
                &arrange,
                |look| screen::token::list(&tokens, clock::now(), look),
            )?;
        }
        Verb::Rm { ids } => {
            let tokens = client.tokens().await?;
            for id in &ids {
                let found: Vec<_> =
                    tokens.iter().filter(|it| it.id.0.to_string().starts_with(id.as_str()) || it.name == *id).collect();
                let [token] = found.as_slice() else {
                    let what = if found.is_empty() { "there is no token" } else { "there are several tokens" };
                    return Err(Failure::new(Trouble::Nothing, format!("{what} `{id}`")).fix("rebar token ls"));
                };
                client.remove_token(&token.id.0.to_string()).await?;
                app.output.say(&format!("the token {} of {} is worth nothing any more", token.id, token.name));
            }
        }
    }
    Ok(Exit::Done)
}
