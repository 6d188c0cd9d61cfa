//! What each command does, one noun or daily verb a file. Commands ask the client, hand records to screens, and end with an exit
//! code; drawing and the way to the engine are elsewhere.

mod address;
pub mod agent;
pub mod apply;
pub mod attr;
pub mod backup;
pub mod breaker;
pub mod completion;
pub mod context;
pub mod deployment;
pub mod events;
pub mod explain;
mod groups;
pub mod help;
pub mod login;
pub mod logs;
pub mod man;
pub mod node;
mod place;
pub mod plan;
pub mod profile;
mod protected;
pub mod prove;
pub mod redeploy;
pub mod rehearse;
pub mod release;
pub mod restore;
pub mod retry;
pub mod service;
mod set;
pub mod status;
pub mod token;
mod towards;
mod version;
pub mod wait;
pub mod watch;
pub mod workload;

use crate::{app::App, args::Command, demo, exit::Exit, failure::Failure, serve};

/// Does what the command line says.
pub async fn run(app: &App, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Status(args) => status::run(app, args).await,
        Command::Plan(args) => plan::run(app, args).await,
        Command::Apply(args) => Box::pin(apply::run(app, args)).await,
        Command::Watch(args) => Box::pin(watch::run(app, args)).await,
        Command::Wait(args) => wait::run(app, args).await,
        Command::Explain(args) => explain::run(app, args).await,
        Command::Retry(args) => Box::pin(retry::run(app, args)).await,
        Command::Logs(args) => logs::run(app, args).await,
        Command::Rehearse(args) => Box::pin(rehearse::run(app, *args)).await,
        Command::Redeploy(args) => Box::pin(redeploy::run(app, args)).await,
        Command::Prove(args) => Box::pin(prove::run(app, args)).await,
        Command::Events(args) => events::run(app, args).await,
        Command::Workload(verb) => workload::run(app, verb).await,
        Command::Node(verb) => Box::pin(node::run(app, verb)).await,
        Command::Agent(verb) => Box::pin(agent::run(app, verb)).await,
        Command::Deployment(verb) => Box::pin(deployment::run(app, verb)).await,
        Command::Attr(verb) => attr::run(app, verb).await,
        Command::Profile(verb) => profile::run(app, verb).await,
        Command::Breaker(verb) => breaker::run(app, verb).await,
        Command::Service(verb) => service::run(app, verb).await,
        Command::Token(verb) => token::run(app, verb).await,
        Command::Context(verb) => context::run(app, verb),
        Command::Login(args) => login::run(app, args).await,
        Command::Logout(args) => login::logout(app, args),
        Command::Whoami => login::whoami(app).await,
        Command::Serve(args) => Box::pin(serve::run(*args)).await.map(|()| Exit::Done).map_err(Failure::from),
        Command::Backup(args) => Box::pin(backup::run(app, &args)).await,
        Command::Restore(args) => Box::pin(restore::run(app, &args)).await,
        Command::Demo(args) => Box::pin(demo::run(*args)).await.map(|()| Exit::Done).map_err(Failure::from),
        Command::Completion(args) => completion::run(app, &args),
        Command::Man(args) => man::run(app, &args),
        Command::Help(args) => help::run(app, &args),
        Command::Version => version::run(app).await,
    }
}
