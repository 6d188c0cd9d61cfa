//! The `docker` provider: a node is a container with systemd on the engine's own Docker. How a container, the network, the image
//! and the files are described lives in the modules; this is the order in which things happen.

mod archive;
mod client;
mod config;
mod container;
mod image;
mod machine;
mod network;
mod options;

use async_trait::async_trait;
use bollard::{Docker, query_parameters::CreateContainerOptions};
use rebar_model::{NodeName, ProviderKind};
use rebar_ports::{Machine, MachineRequest, Provider, ProviderError};
use tokio::sync::{Mutex, OnceCell, Semaphore};

pub use config::DockerConfig;
pub use machine::DockerMachine;

use {client::unavailable, container::Container, options::Options};

/// The archive of a machine's files is in memory while it is uploaded, so not too many at one time.
const CREATING: usize = 4;

/// Nodes as containers.
pub struct DockerProvider {
    config: DockerConfig,
    docker: OnceCell<Docker>,
    /// Held while the network and the image are seen to: the second asks only whether they are there.
    setup: Mutex<()>,
    /// Held from the choice of an address until a container has it.
    addresses: Mutex<()>,
    creating: Semaphore,
}

impl DockerProvider {
    /// A provider; whether Docker is there is looked at when it is needed, or by [`DockerProvider::check`].
    pub fn new(config: DockerConfig) -> Result<Self, ProviderError> {
        config.validate()?;
        Ok(Self {
            config,
            docker: OnceCell::new(),
            setup: Mutex::new(()),
            addresses: Mutex::new(()),
            creating: Semaphore::new(CREATING),
        })
    }

    /// Whether nodes could be made here; the error says what is missing and what to do.
    pub async fn check(&self) -> Result<(), ProviderError> {
        self.docker().await?.ping().await.map_err(unavailable)?;
        archive::check_binary(&self.config.agent_binary)
    }

    /// Makes the network and the image, if they are not there. The first image takes about a minute; its progress is in the log.
    pub async fn prepare(&self) -> Result<(), ProviderError> {
        self.prepare_for(&Options::default()).await
    }

    async fn prepare_for(&self, options: &Options) -> Result<(), ProviderError> {
        let docker = self.docker().await?;
        let _turn = self.setup.lock().await;
        network::ensure(docker, &self.config).await?;
        // An image of a person's own is theirs to make.
        if options.image.is_none() { image::ensure(docker, &self.config).await } else { Ok(()) }
    }

    /// All machines on this provider's network, by name.
    pub async fn list(&self) -> Result<Vec<DockerMachine>, ProviderError> {
        machine::list(self.docker().await?, &self.config.network).await
    }

    /// Restarts a machine as its power button would.
    pub async fn reboot(&self, name: &NodeName) -> Result<(), ProviderError> {
        machine::reboot(self.docker().await?, &self.config.network, name).await
    }

    /// Destroys all machines on this provider's network, and the network. The image stays.
    pub async fn clean(&self) -> Result<(), ProviderError> {
        let docker = self.docker().await?;
        for machine in machine::list(docker, &self.config.network).await? {
            machine::remove(docker, &self.config.network, &machine.name).await?;
        }
        network::remove(docker, &self.config.network).await
    }

    async fn docker(&self) -> Result<&Docker, ProviderError> {
        // Every time, so that an engine that has stopped meanwhile is named plainly.
        client::reach(&self.config.socket).await?;
        self.docker.get_or_try_init(|| client::connect(&self.config.socket)).await
    }

    /// Makes the container with an address of its own; it does not run yet.
    async fn place(&self, docker: &Docker, request: &MachineRequest, options: &Options) -> Result<(), ProviderError> {
        let _turn = self.addresses.lock().await;
        let address = network::free_address(docker, &self.config).await?;
        let container = Container { config: &self.config, node: &request.name, address, options };
        let name = Some(machine::container_name(&self.config.network, &request.name));
        let created = CreateContainerOptions { name, ..Default::default() };
        docker.create_container(Some(created), container.body()).await.map_err(machine::failed(&request.name))?;
        Ok(())
    }

    async fn make(&self, docker: &Docker, request: &MachineRequest, options: &Options) -> Result<(), ProviderError> {
        let files = archive::files(&self.config.agent_binary, &request.ticket).await?;
        self.place(docker, request, options).await?;
        machine::upload(docker, &self.config.network, &request.name, files).await?;
        machine::start(docker, &self.config.network, &request.name).await
    }
}

#[async_trait]
impl Provider for DockerProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Docker
    }

    async fn create(&self, request: &MachineRequest) -> Result<Machine, ProviderError> {
        let options = Options::parse(&request.options)?;
        let _place = self.creating.acquire().await.map_err(|error| unavailable(error.to_string()))?;
        self.prepare_for(&options).await?;
        let docker = self.docker().await?;
        let (network, name) = (&self.config.network, &request.name);
        machine::remove(docker, network, name).await?;
        if let Err(error) = self.make(docker, request, &options).await {
            // Half a machine is worse than none; the first error is the one that matters.
            if let Err(error) = machine::remove(docker, network, name).await {
                tracing::warn!(node = %name, %error, "remains of a machine could not be removed");
            }
            return Err(error);
        }
        tracing::info!(node = %name, "machine made");
        Ok(Machine { id: Some(machine::container_name(network, name)), instruction: None })
    }

    async fn destroy(&self, name: &NodeName) -> Result<(), ProviderError> {
        machine::remove(self.docker().await?, &self.config.network, name).await?;
        tracing::info!(node = %name, "machine destroyed");
        Ok(())
    }
}
