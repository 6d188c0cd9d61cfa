//! `rebar login`, `logout`, `whoami`: pinning an engine's CA and keeping its token. Nothing is kept before the engine has answered
//! under that CA and taken the token.

use std::{fs, path::PathBuf};

use serde::Serialize;

use super::set;
use crate::{
    app::App,
    client::{Client, Trust, ca_fingerprint},
    config::{self, Context},
    exit::Exit,
    failure::{Failure, Trouble},
    screen::{Table, words},
};

/// Which engine.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar login https://127.0.0.1:8092 --token-file /var/lib/rebar/admin.token --ca-file /var/lib/rebar/ca.pem\n  rebar login engine.example:8092 --token-file - --ca-fingerprint 3fa9…  < token\n  rebar login https://lab:8092 --name lab --token-file lab.token --ca-file lab.pem"
)]
pub struct Args {
    /// Where it listens, https://HOST:8092
    #[arg(value_name = "URL")]
    pub url: String,
    /// The file with the token; - for standard input
    #[arg(long, value_name = "FILE")]
    pub token_file: String,
    /// The file with the certificate of the engine's CA
    #[arg(long, value_name = "FILE", required_unless_present = "ca_fingerprint", conflicts_with = "ca_fingerprint")]
    pub ca_file: Option<PathBuf>,
    /// The SHA-256 fingerprint of that certificate; the engine shows the certificate itself
    #[arg(long, value_name = "HEX")]
    pub ca_fingerprint: Option<String>,
    /// The name of the context
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub name: String,
}

/// Which context.
#[derive(Debug, clap::Args)]
pub struct LogoutArgs {
    /// The context to forget; the current one if not said
    #[arg(value_name = "CONTEXT")]
    pub name: Option<String>,
}

/// Who one is, to which engine.
#[derive(Debug, Serialize)]
struct Whoami {
    context: String,
    url: String,
    name: String,
    token: String,
    expires_at: Option<jiff::Timestamp>,
    engine: String,
}

/// Logs in.
pub async fn run(app: &App, args: Args) -> Result<Exit, Failure> {
    let source = if args.token_file == "-" { "-".to_owned() } else { format!("@{}", args.token_file) };
    let token = set::read(&source)?.trim().to_owned();
    if token.is_empty() {
        return Err(Failure::new(Trouble::Argument, "the token is empty"));
    }
    let trust = match (&args.ca_file, &args.ca_fingerprint) {
        (Some(path), _) => {
            let text = fs::read_to_string(path);
            Trust::Pem(text.map_err(|error| Failure::new(Trouble::File, format!("{}: {error}", path.display())))?)
        }
        (None, Some(fingerprint)) => Trust::fingerprint(fingerprint)?,
        (None, None) => {
            return Err(Failure::new(Trouble::Argument, "which CA to trust is not said")
                .fix("say --ca-file or --ca-fingerprint"));
        }
    };
    let client = Client::open(&args.url, &trust, Some(&token)).await?;
    let version = client.version().await?;
    // The version is for everybody; this is not.
    let tokens = client.tokens().await?;
    let who = tokens.into_iter().find(|it| it.current).map(|it| it.name).unwrap_or_default();
    let ca = trust.ca_pem().ok_or_else(|| Failure::new(Trouble::Untrusted, "the engine showed no CA"))?;
    let path = config::path()?;
    let mut config = config::load(&path)?;
    let fingerprint = ca_fingerprint(&ca).unwrap_or_default();
    config.contexts.insert(args.name.clone(), Context { url: client.url().to_owned(), token, ca });
    config.current = Some(args.name.clone());
    config::save(&path, &config)?;
    app.output.say(&format!(
        "logged in to {} (rebar {}) as {who}, context {}\nCA {fingerprint}",
        client.url(),
        version.version,
        args.name
    ));
    Ok(Exit::Done)
}

/// Forgets a context. The token stays worth something; `rebar token rm` takes it back.
pub fn logout(app: &App, args: LogoutArgs) -> Result<Exit, Failure> {
    let path = config::path()?;
    let mut config = config::load(&path)?;
    let name = args.name.or_else(|| app.globals.context.clone()).or_else(|| config.current.clone());
    let Some(name) = name.filter(|it| config.contexts.remove(it).is_some()) else {
        return Err(Failure { exit: Exit::NotFound, ..Failure::new(Trouble::NoContext, "there is no such context") }
            .fix("rebar context list"));
    };
    if config.current.as_ref() == Some(&name) {
        config.current = config.contexts.keys().next().cloned();
    }
    config::save(&path, &config)?;
    app.output.say(&format!("context {name} is forgotten; its token lives on, `rebar token rm` would take it back"));
    Ok(Exit::Done)
}

/// Says which engine, and as whom.
pub async fn whoami(app: &App) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let said = config::Said::from_env(app.globals.context.as_deref())?;
    let context = config::decide(&config::load(&config::path()?).unwrap_or_default(), &said).map(|it| it.context);
    let current = client.tokens().await?.into_iter().find(|it| it.current);
    let shown = Whoami {
        context: context.unwrap_or_else(|_| "environment".to_owned()),
        url: client.url().to_owned(),
        name: current.as_ref().map(|it| it.name.clone()).unwrap_or_default(),
        token: current.as_ref().map(|it| it.id.to_string()).unwrap_or_default(),
        expires_at: current.and_then(|it| it.expires_at),
        engine: client.version().await?.version,
    };
    app.output.data(
        &shown,
        || vec![shown.name.clone()],
        |look| {
            let mut table = Table::new(look, &["NAME", "ENGINE", "VERSION", "CONTEXT", "TOKEN", "UNTIL"]);
            table.row(vec![
                (&shown.name).into(),
                (&shown.url).into(),
                (&shown.engine).into(),
                (&shown.context).into(),
                (&shown.token).into(),
                shown.expires_at.map_or_else(|| "no end".to_owned(), words::moment).into(),
            ]);
            table.render()
        },
    )?;
    Ok(Exit::Done)
}
