//! What can be measured, one case a file.

mod agent;
mod engine;
mod grpc;
mod herd;
mod idle;
mod logs;
mod node_roles;
mod plan;
mod scale;
mod soak;
mod steps;

use anyhow::Result;
use clap::Subcommand;

use crate::{Figure, host};

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Case {
    /// Durable node-roles a second, engine side
    NodeRoles(node_roles::Args),
    /// Durable node-roles a second through gRPC over mutual TLS
    Grpc(host::Args),
    /// Agents that lost their engine all at once, and come back to it
    Herd(herd::Args),
    /// What idle agents cost the engine
    Idle(idle::Args),
    /// The engine's process of the cases that need one of its own; not a case
    #[command(hide = true)]
    Host(host::Args),
    /// Durable steps in sequence, engine side
    Steps(steps::Args),
    /// Durable steps in sequence through a real agent
    AgentSteps(agent::Steps),
    /// Scripts that run /bin/true on many nodes, by real agents
    Tasks(agent::Tasks),
    /// How big a real agent is
    Agent(agent::Idle),
    /// The engine from its start to a first deployment
    Start(engine::Start),
    /// The engine after SIGKILL in the middle
    Restart(engine::Restart),
    /// Adding one node to many
    Scale(scale::Args),
    /// A long run, for memory and all that could grow
    Soak(soak::Args),
    /// Log lines taken in, durable
    Logs(logs::Args),
    /// Planning a large deployment, and finding what to do after one failure
    Plan(plan::Args),
}

impl Case {
    /// Measures it.
    pub async fn run(self) -> Result<Vec<Figure>> {
        match self {
            Self::NodeRoles(args) => node_roles::run(args).await,
            Self::Grpc(args) => grpc::run(args).await,
            Self::Herd(args) => herd::run(args).await,
            Self::Idle(args) => idle::run(args).await,
            Self::Host(args) => host::serve(args).await.map(|()| Vec::new()),
            Self::Steps(args) => steps::run(args).await,
            Self::AgentSteps(args) => agent::steps(args).await,
            Self::Tasks(args) => agent::tasks(args).await,
            Self::Agent(args) => agent::idle(args).await,
            Self::Start(args) => engine::start(args).await,
            Self::Restart(args) => engine::restart(args).await,
            Self::Soak(args) => soak::run(args).await,
            Self::Scale(args) => scale::run(args).await,
            Self::Logs(args) => logs::run(args).await,
            Self::Plan(args) => plan::run(&args),
        }
    }
}
