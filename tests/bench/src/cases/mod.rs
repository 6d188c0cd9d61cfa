//! What can be measured, one case a file.

mod node_roles;
mod plan;

use anyhow::Result;
use clap::Subcommand;

use crate::Figure;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Case {
    /// Durable node-roles a second, engine side
    NodeRoles(node_roles::Args),
    /// Planning a large deployment, and finding what to do after one failure
    Plan(plan::Args),
}

impl Case {
    /// Measures it.
    pub async fn run(self) -> Result<Vec<Figure>> {
        match self {
            Self::NodeRoles(args) => node_roles::run(args).await,
            Self::Plan(args) => plan::run(&args),
        }
    }
}
