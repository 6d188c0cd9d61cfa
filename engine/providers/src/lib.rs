//! Makers of machines behind the `Provider` port: `docker` makes nodes of containers with systemd, `join` takes machines that are
//! there already. What a node is to the engine lives in `rebar-model`.

mod docker;
mod join;

pub use docker::{DockerConfig, DockerMachine, DockerProvider};
pub use join::JoinProvider;
