//! Releases of the agent for tests: programs, and what a key says about them.

use rebar_proto::v1::Upgrade;
use ring::{
    digest,
    signature::{Ed25519KeyPair, KeyPair as _},
};

use super::{agent::PROGRAM, engine::Engine};

/// A key pair for releases.
pub struct ReleaseKey(Ed25519KeyPair);

impl ReleaseKey {
    pub fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("key"))
    }

    pub fn public(&self) -> String {
        hex::encode(self.0.public_key())
    }

    /// The order to become a program, which the engine has.
    pub fn order(&self, engine: &Engine, upgrade: u64, version: &str, program: &[u8]) -> Upgrade {
        let sha256 = hex::encode(digest::digest(&digest::SHA256, program));
        let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        let statement = serde_json::json!({
            "kind": "rebar-agent-release", "version": version, "platform": format!("linux/{arch}"), "sha256": sha256,
        });
        self.order_of(engine, upgrade, &statement.to_string(), program)
    }

    /// The same with a statement of one's own.
    pub fn order_of(&self, engine: &Engine, upgrade: u64, statement: &str, program: &[u8]) -> Upgrade {
        let content = blake3::hash(program).to_hex().to_string();
        engine.content(&content, program.to_vec());
        Upgrade {
            upgrade,
            epoch: 1,
            content,
            statement: statement.to_owned(),
            key: self.public(),
            signature: hex::encode(self.0.sign(statement.as_bytes())),
        }
    }
}

/// The real program, as another one: what stands behind the end of an ELF file is nothing to it.
pub fn good(mark: &str) -> Vec<u8> {
    let mut program = std::fs::read(PROGRAM).expect("program");
    program.extend(mark.as_bytes());
    program
}

/// A program that can say its version, and then does something else than an agent.
pub fn bad(then: &str) -> Vec<u8> {
    format!("#!/bin/sh\nif [ \"$1\" = --version ]; then exit 0; fi\n{then}\n").into_bytes()
}
