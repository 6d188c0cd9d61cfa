//! The `join` provider: a machine that exists already, on which a person runs one command. Nothing is made and nothing destroyed.

use async_trait::async_trait;
use rebar_model::{NodeName, ProviderKind};
use rebar_ports::{EnrolTicket, Machine, MachineRequest, Provider, ProviderError};

/// Machines that are there already.
#[derive(Debug, Clone, Copy, Default)]
pub struct JoinProvider;

#[async_trait]
impl Provider for JoinProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Join
    }

    async fn create(&self, request: &MachineRequest) -> Result<Machine, ProviderError> {
        if let Some(option) = request.options.keys().next() {
            let detail = "the join provider has no options".to_owned();
            return Err(ProviderError::BadOption { option: option.clone(), detail });
        }
        Ok(Machine { id: None, instruction: Some(command(&request.ticket)) })
    }

    /// The machine stays as it is; the engine forgets it.
    async fn destroy(&self, _: &NodeName) -> Result<(), ProviderError> {
        Ok(())
    }
}

/// The one command, to be run as root.
fn command(ticket: &EnrolTicket) -> String {
    let EnrolTicket { engine, token, ca_fingerprint, release_keys } = ticket;
    let keys: Vec<String> = release_keys.iter().map(|it| format!(" --release-key {it}")).collect();
    let keys = keys.concat();
    format!(
        "rebar-agent enrol --engine {} --token {} --ca-fingerprint {}{keys} && rebar-agent install",
        quoted(engine),
        quoted(token),
        quoted(ca_fingerprint)
    )
}

/// A word that a shell takes as it stands.
fn quoted(word: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_.:/=@%+,".contains(it);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rebar_model::Hex;

    use super::*;

    fn request() -> MachineRequest {
        let ticket = EnrolTicket {
            engine: "10.0.0.1:7443".into(),
            token: "t0k".into(),
            ca_fingerprint: "ab12".into(),
            release_keys: vec![Hex([0x1f; 32])],
        };
        MachineRequest { name: NodeName::new("n1").unwrap(), ticket, options: BTreeMap::new() }
    }

    #[tokio::test]
    async fn a_machine_joins_with_one_command() {
        let machine = JoinProvider.create(&request()).await.unwrap();
        let expected = format!(
            "rebar-agent enrol --engine 10.0.0.1:7443 --token t0k --ca-fingerprint ab12 --release-key {} && rebar-agent install",
            "1f".repeat(32)
        );
        assert_eq!(machine, Machine { id: None, instruction: Some(expected) });
        JoinProvider.destroy(&request().name).await.unwrap();
    }

    #[tokio::test]
    async fn options_are_refused() {
        let mut request = request();
        request.options.insert("image".into(), "x".into());
        assert!(
            matches!(JoinProvider.create(&request).await, Err(ProviderError::BadOption { option, .. }) if option == "image")
        );
    }

    #[test]
    fn words_are_safe_in_a_shell() {
        assert_eq!(quoted("[::1]:7443"), "'[::1]:7443'");
        assert_eq!(quoted("it's; rm"), r"'it'\''s; rm'");
        assert_eq!(quoted(""), "''");
    }
}
