//! The port to what makes and destroys machines.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rebar_model::{NodeName, ProviderKind, ReleaseKey};

/// Makes and destroys machines.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Which one it is.
    fn kind(&self) -> ProviderKind;

    /// Makes the machine, so that its agent enrols with the ticket. A machine of that name which is there already is replaced.
    async fn create(&self, request: &MachineRequest) -> Result<Machine, ProviderError>;

    /// Destroys the machine with all its data; one that is gone already is no error.
    async fn destroy(&self, name: &NodeName) -> Result<(), ProviderError>;
}

/// What a machine is asked to be.
#[derive(Debug, Clone)]
pub struct MachineRequest {
    /// The name of the node.
    pub name: NodeName,
    /// What its agent enrols with.
    pub ticket: EnrolTicket,
    /// Options of the provider, as given by people.
    pub options: BTreeMap<String, String>,
}

/// What a new agent needs to enrol.
#[derive(Debug, Clone)]
pub struct EnrolTicket {
    /// Where the gateway listens, as `host:port` seen from the machine.
    pub engine: String,
    /// The one-time token.
    pub token: String,
    /// SHA-256 of the CA certificate, in hexadecimal.
    pub ca_fingerprint: String,
    /// The keys whose releases the agent takes when it is told to become another.
    pub release_keys: Vec<ReleaseKey>,
}

/// A machine that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What the provider calls it; none where there is nothing to call.
    pub id: Option<String>,
    /// What a person has to do for it to come, where the provider cannot do it: the one command of the `join` provider.
    pub instruction: Option<String>,
}

/// What can go wrong with machines.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The provider cannot be used here; says what is missing.
    #[error("{provider}: {detail}")]
    Unavailable {
        /// Which one.
        provider: &'static str,
        /// What is missing and what to do.
        detail: String,
    },
    /// An option is wrong.
    #[error("option `{option}`: {detail}")]
    BadOption {
        /// Which one.
        option: String,
        /// What is wrong.
        detail: String,
    },
    /// The machine could not be made or destroyed.
    #[error("machine `{name}`: {detail}")]
    Failed {
        /// Which one.
        name: NodeName,
        /// What happened.
        detail: String,
    },
}
