//! The routes, one noun a file: the path of a file is the name of its noun is its place in the URL.

mod agents;
mod attempts;
mod deployments;
mod events;
mod explain;
mod nodes;
mod parameters;
mod plans;
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
    [
        version::routes(),
        nodes::routes(),
        agents::routes(),
        workloads::routes(),
        parameters::routes(),
        deployments::routes(),
        plans::routes(),
        verbs::routes(),
        wait::routes(),
        explain::routes(),
        attempts::routes(),
        events::routes(),
        services::routes(),
        tokens::routes(),
    ]
    .into_iter()
    .fold(OpenApiRouter::new(), OpenApiRouter::merge)
}
