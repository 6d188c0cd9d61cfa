//! Nodes and their machines: a token first, then the machine; and the way back. The two cannot be one transaction, so each half says
//! what the other left.

use rebar_model::{Actor, Connection, EnrolToken, Node, NodeMode, NodeName, TokenHash};
use rebar_ports::{EnrolTicket, MachineRequest, Provider};
use rebar_scheduler::{Command, NodeRemoval};
use std::{collections::BTreeMap, sync::Arc};

use crate::{AddNode, AddedNode, ENROL_TOKEN_TTL, EngineError, Handle};

impl Handle {
    /// Takes a machine under care: makes it, or says what a person has to do. A machine that cannot be made leaves no node.
    pub async fn add_node(&self, by: Actor, request: AddNode) -> Result<AddedNode, EngineError> {
        let provider = self.provider(&request)?;
        let (ticket, token) = self.ticket(&request.name);
        let node = Node {
            name: request.name.clone(),
            provider: request.provider,
            machine: None,
            labels: request.labels,
            profiles: request.profiles,
            mode: NodeMode::Ready,
            facts: None,
            connection: Connection::Never,
            added_at: self.now(),
        };
        self.command(by.clone(), Command::AddNode { node: Box::new(node.clone()), token }).await?;
        let machine = MachineRequest { name: request.name.clone(), ticket, options: request.options };
        match provider.create(&machine).await {
            Ok(made) => {
                if let Some(machine) = made.id {
                    self.command(by, Command::NameMachine { node: request.name.clone(), machine }).await?;
                }
                let node = self.read(|world| world.nodes().get(&request.name).cloned()).unwrap_or(node);
                Ok(AddedNode { node, instruction: made.instruction })
            }
            Err(error) => {
                let gone =
                    Command::RemoveNode { node: request.name, removal: NodeRemoval::Gone { allowed: Vec::new() } };
                self.command(by, gone).await?;
                Err(error.into())
            }
        }
    }

    /// Makes a new enrolment token for a node, and says how its agent uses it.
    pub async fn renew_token(&self, by: Actor, name: &NodeName) -> Result<EnrolTicket, EngineError> {
        let (ticket, token) = self.ticket(name);
        self.command(by, Command::PutEnrolToken { token }).await?;
        Ok(ticket)
    }

    /// Forgets a node and destroys its machine, where a provider made it.
    pub async fn remove_node(&self, by: Actor, name: NodeName, removal: NodeRemoval) -> Result<(), EngineError> {
        let kind = self.read(|world| world.nodes().get(&name).map(|it| it.provider));
        self.command(by, Command::RemoveNode { node: name.clone(), removal }).await?;
        let provider = kind.and_then(|it| self.shared.ports.providers.get(&it));
        match provider {
            Some(provider) => Ok(provider.destroy(&name).await?),
            None => Ok(()),
        }
    }

    fn provider(&self, request: &AddNode) -> Result<Arc<dyn Provider>, EngineError> {
        let providers: &BTreeMap<_, _> = &self.shared.ports.providers;
        providers
            .get(&request.provider)
            .cloned()
            .ok_or_else(|| EngineError::NoProvider(format!("{:?}", request.provider).to_lowercase()))
    }

    fn ticket(&self, name: &NodeName) -> (EnrolTicket, EnrolToken) {
        let token = rebar_model::Digest::of(&self.shared.ports.entropy.bytes()).to_string();
        let kept = EnrolToken {
            hash: TokenHash::of(&token),
            node: name.clone(),
            expires_at: ENROL_TOKEN_TTL.after(self.now()),
            used_at: None,
        };
        let ticket = EnrolTicket {
            engine: self.shared.ports.advertise.clone(),
            token,
            ca_fingerprint: self.shared.ports.ca_fingerprint.clone(),
            release_keys: self.shared.ports.release_keys.clone(),
        };
        (ticket, kept)
    }
}
