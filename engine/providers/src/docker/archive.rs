//! The files that a node gets before it starts: the agent, and what it enrols with.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use bytes::Bytes;
use rebar_ports::{EnrolTicket, ProviderError};
use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::client::unavailable;

/// Where the agent's unit looks for it.
const AGENT: &str = "usr/local/bin/rebar-agent";
/// The folder of what the agent enrols with.
const SETTINGS: &str = "etc/rebar-agent/";
/// What the agent enrols with.
const ENROL: &str = "etc/rebar-agent/enrol.json";
/// No agent is larger, not even one with all its debugging symbols.
const MAX_AGENT: u64 = 1024 * 1024 * 1024;

/// Whether the agent can be put into nodes.
pub(super) fn check_binary(path: &Path) -> Result<(), ProviderError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && (1..=MAX_AGENT).contains(&metadata.len()) => Ok(()),
        Ok(_) => Err(unavailable(format!("{} is not the agent's binary", path.display()))),
        Err(error) => Err(unavailable(format!(
            "the agent's binary {} cannot be used: {error}; build it with `cargo build --release -p rebar-agent`",
            path.display()
        ))),
    }
}

/// The files of a node as a tar archive from `/`.
pub(super) async fn files(agent: &Path, ticket: &EnrolTicket) -> Result<Bytes, ProviderError> {
    let (agent, ticket) = (agent.to_owned(), ticket.clone());
    let packed = tokio::task::spawn_blocking(move || {
        check_binary(&agent)?;
        let read = fs::File::open(&agent).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(MAX_AGENT).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        read.and_then(|agent| pack(&agent, &ticket)).map_err(|error| unavailable(format!("files of the node: {error}")))
    });
    packed.await.map_err(|error| unavailable(error.to_string()))?.map(Bytes::from)
}

fn pack(agent: &[u8], ticket: &EnrolTicket) -> io::Result<Vec<u8>> {
    let EnrolTicket { engine, token, ca_fingerprint, release_keys } = ticket;
    let enrol = json!({
        "engine": engine, "token": token, "ca_fingerprint": ca_fingerprint, "release_keys": release_keys,
    });
    let enrol = enrol.to_string();
    let mut archive = Builder::new(Vec::with_capacity(agent.len() + 8192));
    add(&mut archive, AGENT, EntryType::Regular, 0o755, agent)?;
    add(&mut archive, SETTINGS, EntryType::Directory, 0o700, &[])?;
    add(&mut archive, ENROL, EntryType::Regular, 0o600, enrol.as_bytes())?;
    archive.into_inner()
}

fn add(archive: &mut Builder<Vec<u8>>, path: &str, kind: EntryType, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path, bytes)
}

#[cfg(test)]
mod tests {
    use rebar_model::Hex;

    use super::*;

    fn ticket() -> EnrolTicket {
        EnrolTicket {
            engine: "172.30.0.1:7443".into(),
            token: "t\"0k".into(),
            ca_fingerprint: "ab".into(),
            release_keys: vec![Hex([0; 32])],
        }
    }

    #[tokio::test]
    async fn a_node_gets_its_agent_and_a_private_ticket() {
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("agent");
        fs::write(&agent, "binary").unwrap();
        let bytes = files(&agent, &ticket()).await.unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            seen.push((entry.path().unwrap().display().to_string(), header.mode().unwrap(), text));
        }
        let enrol = format!(
            r#"{{"ca_fingerprint":"ab","engine":"172.30.0.1:7443","release_keys":["{}"],"token":"t\"0k"}}"#,
            "00".repeat(32)
        );
        let expected = [(AGENT, 0o755, "binary"), (SETTINGS, 0o700, ""), (ENROL, 0o600, &enrol)];
        assert_eq!(seen, expected.map(|(path, mode, text)| (path.to_owned(), mode, text.to_owned())));
    }

    #[tokio::test]
    async fn a_missing_agent_is_said() {
        let error = files(Path::new("/nowhere/rebar-agent"), &ticket()).await.unwrap_err().to_string();
        assert!(error.contains("/nowhere/rebar-agent") && error.contains("cargo build"), "{error}");
    }

    #[tokio::test]
    async fn an_agent_is_as_large_as_it_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("agent");
        let file = fs::File::create(&agent).unwrap();
        for (length, is_one) in [(0, false), (1, true), (MAX_AGENT, true), (MAX_AGENT + 1, false)] {
            // A file that has a length and nothing in it.
            file.set_len(length).unwrap();
            assert_eq!(check_binary(&agent).is_ok(), is_one, "{length} bytes");
        }
        let error = files(&agent, &ticket()).await.unwrap_err().to_string();
        assert!(error.contains("is not the agent's binary"), "{error}");
    }
}
