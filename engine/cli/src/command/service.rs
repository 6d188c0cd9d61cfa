//! `rebar service`: what the services beside the nodes have.

use rebar_api::types::ServiceName;

use crate::{app::App, exit::Exit, failure::Failure, screen};

/// Which service.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Names: zones and records
    #[command(subcommand)]
    Dns(Look),
    /// Addresses: pools, and who has what
    #[command(subcommand)]
    Ipam(Look),
    /// Load balancer: VIPs, backends, health
    #[command(subcommand)]
    Lb(Look),
    /// Certificates: authorities, and what they signed
    #[command(subcommand)]
    Pki(Look),
}

/// What to do with it.
#[derive(Debug, clap::Subcommand)]
pub enum Look {
    /// List what it has
    Ls,
}

/// Lists what a service has.
pub async fn run(app: &App, verb: Verb) -> Result<Exit, Failure> {
    let (service, name) = match verb {
        Verb::Dns(Look::Ls) => (ServiceName::Dns, "dns"),
        Verb::Ipam(Look::Ls) => (ServiceName::Ipam, "ipam"),
        Verb::Lb(Look::Ls) => (ServiceName::Lb, "lb"),
        Verb::Pki(Look::Ls) => (ServiceName::Pki, "pki"),
    };
    let view = app.client().await?.service(name).await?;
    let names = || screen::service::names(service, &view.listing);
    app.output.data(&view.listing, names, |look| screen::service::render(service, &view.listing, look))?;
    Ok(Exit::Done)
}
