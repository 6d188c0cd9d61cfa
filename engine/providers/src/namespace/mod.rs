//! The `namespace` provider: a light node is a set of namespaces on the engine's own machine, with an agent of its own. What it is made
//! of lives in the modules and in the scripts of `light-node`; this is the order in which things happen.

mod address;
mod cgroup;
mod config;
mod files;
mod host;
mod machine;
mod network;
mod runtime;

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use async_trait::async_trait;
use rebar_model::{NodeName, ProviderKind};
use rebar_ports::{Machine, MachineRequest, Provider, ProviderError};
use tokio::sync::{Mutex, Semaphore};

pub use config::NamespaceConfig;

use host::unavailable;

/// Making a node is a score of short programs; more at a time would only wait for processors.
const MAKING: usize = 4;

/// Nodes as namespaces.
pub struct NamespaceProvider {
    config: Arc<NamespaceConfig>,
    /// Held while the first node's surroundings are made, and while the last one's are taken away.
    surroundings: Mutex<()>,
    making: Semaphore,
}

impl NamespaceProvider {
    /// A provider; whether nodes can be made is looked at when one is, or by [`NamespaceProvider::check`].
    pub fn new(config: NamespaceConfig) -> Result<Self, ProviderError> {
        config.validate()?;
        Ok(Self { config: Arc::new(config), surroundings: Mutex::new(()), making: Semaphore::new(MAKING) })
    }

    /// Whether nodes could be made here; the error says what is missing and what to do.
    pub async fn check(&self) -> Result<(), ProviderError> {
        self.blocking(host::check).await
    }

    /// Makes the bridge, if it is not there, so that its address can be listened on.
    pub async fn prepare(&self) -> Result<(), ProviderError> {
        let _turn = self.surroundings.lock().await;
        self.blocking(|config| host::check(config).and_then(|()| network::ensure(config))).await
    }

    /// All nodes on this provider's network with their addresses, by name.
    pub async fn list(&self) -> Result<BTreeMap<NodeName, Ipv4Addr>, ProviderError> {
        self.blocking(address::list).await
    }

    /// Destroys all nodes on this provider's network, and the network.
    pub async fn clean(&self) -> Result<(), ProviderError> {
        for name in self.list().await?.into_keys() {
            self.destroy(&name).await?;
        }
        let _turn = self.surroundings.lock().await;
        self.blocking(leave).await
    }

    /// Runs what waits where waiting harms nobody.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&NamespaceConfig) -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let config = self.config.clone();
        tokio::task::spawn_blocking(move || work(&config)).await.map_err(unavailable)?
    }

    /// Takes a node away, and with the last one what all of them shared.
    async fn remove(&self, name: &NodeName) -> Result<(), ProviderError> {
        let node = name.clone();
        self.blocking(move |config| machine::remove(config, &node)).await?;
        let node = name.clone();
        let _turn = self.surroundings.lock().await;
        self.blocking(move |config| {
            address::release(config, &node)?;
            if address::list(config)?.is_empty() { leave(config) } else { Ok(()) }
        })
        .await
    }
}

/// What nodes need around them.
fn arrive(config: &NamespaceConfig) -> Result<(), ProviderError> {
    host::check(config)?;
    files::shared(config).map_err(|error| unavailable(format!("{}: {error}", config.folder().display())))?;
    network::ensure(config)?;
    runtime::ensure(config).map_err(|error| unavailable(format!("the containerd of the nodes: {error}")))
}

/// Takes that away.
fn leave(config: &NamespaceConfig) -> Result<(), ProviderError> {
    runtime::remove(config).map_err(|error| unavailable(format!("the containerd of the nodes: {error}")))?;
    network::remove(config)?;
    files::remove_tree(&config.folder()).map_err(unavailable)?;
    // Those of other networks may be beside it.
    for above in [&config.state, &config.run] {
        let _ = std::fs::remove_dir(above);
    }
    Ok(())
}

#[async_trait]
impl Provider for NamespaceProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Namespace
    }

    async fn create(&self, request: &MachineRequest) -> Result<Machine, ProviderError> {
        if let Some(option) = request.options.keys().next() {
            let detail = "the namespace provider has no options".to_owned();
            return Err(ProviderError::BadOption { option: option.clone(), detail });
        }
        let _place = self.making.acquire().await.map_err(|error| unavailable(error.to_string()))?;
        let name = &request.name;
        // One of this name that is there, or the remains of one.
        if self.config.node(name).exists() || self.list().await?.contains_key(name) {
            self.remove(name).await?;
        }
        let turn = self.surroundings.lock().await;
        let node = name.clone();
        let address = self
            .blocking(move |config| {
                arrive(config)?;
                address::reserve(config, &node)
            })
            .await?;
        drop(turn);
        let wanted = request.clone();
        if let Err(error) = self.blocking(move |config| machine::make(config, &wanted, address)).await {
            // Half a machine is worse than none; the first error is the one that matters.
            if let Err(error) = self.remove(name).await {
                tracing::warn!(node = %name, %error, "remains of a machine could not be removed");
            }
            return Err(error);
        }
        tracing::info!(node = %name, %address, "machine made");
        Ok(Machine { id: Some(self.config.machine(name)), instruction: None })
    }

    async fn destroy(&self, name: &NodeName) -> Result<(), ProviderError> {
        self.remove(name).await?;
        tracing::info!(node = %name, "machine destroyed");
        Ok(())
    }
}
