//! Makers of machines behind the `Provider` port: `docker` makes nodes of containers with systemd, `namespace` light ones of
//! namespaces, `join` takes machines that are there already. What a node is to the engine lives in `rebar-model`.

mod docker;
mod join;
mod namespace;

pub use docker::{DockerConfig, DockerMachine, DockerProvider};
pub use join::JoinProvider;
pub use namespace::{NamespaceConfig, NamespaceProvider};
