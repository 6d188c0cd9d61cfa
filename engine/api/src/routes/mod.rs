//! The routes, one noun a file: the path of a file is the name of its noun is its place in the URL.

mod agents;
mod attempts;
pub(crate) mod breakers;
mod deployments;
mod events;
mod explain;
mod nodes;
mod parameters;
mod plans;
mod revisions;
mod services;
mod tokens;
mod verbs;
mod version;
mod wait;
mod workloads;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// All routes, without the prefix of the API's version.
pub(crate) fn all() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(version::routes())
        .merge(nodes::routes())
        .merge(agents::routes())
        .merge(workloads::routes())
        .merge(parameters::routes())
        .merge(deployments::routes())
        .merge(plans::routes())
        .merge(revisions::routes())
        .merge(verbs::routes())
        .merge(breakers::routes())
        .merge(wait::routes())
        .merge(explain::routes())
        .merge(attempts::routes())
        .merge(events::routes())
        .merge(services::routes())
        .merge(tokens::routes())
}
