//! Taking in releases of the agent: what is not signed by a key that this engine knows, or is something else than was signed, does
//! not get in. Agents verify it again, by the keys that they were given; who is told when is the scheduler's business.

use rebar_model::{Actor, AgentBuild, AgentRelease, Digest, Hex, ReleaseKey, ReleaseStatement, SignedRelease};
use rebar_scheduler::Command;
use ring::{digest, signature};
use std::sync::Arc;

use crate::{EngineError, Handle, ReleaseError};

impl Handle {
    /// Imports the program of a release for one platform. The same again is no mistake, and changes nothing.
    pub async fn import_release(
        &self,
        by: Actor,
        signed: SignedRelease,
        program: Vec<u8>,
    ) -> Result<Arc<AgentRelease>, ReleaseError> {
        self.shared.intake()?;
        let keys = self.shared.ports.release_keys.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let statement = verify(&keys, &signed, &program)?;
            Ok((statement, signed, Digest::of(&program), program))
        });
        let checked: Result<_, ReleaseError> = checked.await.map_err(|_| EngineError::Stopped)?;
        let (ReleaseStatement { version, platform, sha256, .. }, signed, content, program) = checked?;
        self.shared.ports.blobs.put(content, &program).await.map_err(EngineError::Store)?;
        let size = program.len() as u64;
        let build = AgentBuild { content, size, sha256, signed, imported_at: self.now() };
        let command = Command::ImportAgentRelease { version: version.clone(), platform, build };
        self.command(by, command).await?;
        let release = self.read(|world| world.agent_releases().get(&version).cloned());
        Ok(release.ok_or(EngineError::Stopped)?)
    }
}

/// What was signed, if this is it.
fn verify(keys: &[ReleaseKey], signed: &SignedRelease, program: &[u8]) -> Result<ReleaseStatement, ReleaseError> {
    if keys.is_empty() {
        return Err(ReleaseError::NoKeys);
    }
    if !keys.contains(&signed.key) {
        return Err(ReleaseError::UnknownKey(signed.key));
    }
    signature::UnparsedPublicKey::new(&signature::ED25519, signed.key.0)
        .verify(signed.statement.as_bytes(), &signed.signature.0)
        .map_err(|_| ReleaseError::BadSignature)?;
    let statement: ReleaseStatement =
        serde_json::from_str(&signed.statement).map_err(|error| ReleaseError::BadStatement(error.to_string()))?;
    if statement.kind != ReleaseStatement::KIND {
        return Err(ReleaseError::BadStatement(format!("it is about `{}`", statement.kind)));
    }
    let mut found = Hex([0; 32]);
    found.0.copy_from_slice(digest::digest(&digest::SHA256, program).as_ref());
    if found != statement.sha256 {
        return Err(ReleaseError::WrongProgram { found, signed: statement.sha256 });
    }
    Ok(statement)
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn sign(seed: u8, statement: &str) -> SignedRelease {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a key");
        let (mut key, mut signature) = (Hex([0; 32]), Hex([0; 64]));
        key.0.copy_from_slice(pair.public_key().as_ref());
        signature.0.copy_from_slice(pair.sign(statement.as_bytes()).as_ref());
        SignedRelease { statement: statement.to_owned(), key, signature }
    }

    fn statement(kind: &str, program: &[u8]) -> String {
        let sha256 = hex(digest::digest(&digest::SHA256, program).as_ref());
        format!(r#"{{"kind":"{kind}","version":"1.2.3","platform":"linux/amd64","sha256":"{sha256}"}}"#)
    }

    fn hex(bytes: &[u8]) -> String {
        let digits: Vec<String> = bytes.iter().map(|it| format!("{it:02x}")).collect();
        digits.concat()
    }

    #[test]
    fn what_was_signed_gets_in_and_nothing_else() {
        let good = sign(1, &statement(ReleaseStatement::KIND, b"program"));
        let keys = [good.key];
        assert_eq!(verify(&keys, &good, b"program").expect("good").version.to_string(), "1.2.3");
        assert!(matches!(verify(&[], &good, b"program"), Err(ReleaseError::NoKeys)));
        assert!(matches!(verify(&keys, &good, b"another"), Err(ReleaseError::WrongProgram { .. })));
        let strange = sign(2, &good.statement);
        assert!(
            matches!(verify(&keys, &strange, b"program"), Err(ReleaseError::UnknownKey(key)) if key == strange.key)
        );
        let changed = SignedRelease { statement: good.statement.replace("1.2.3", "9.9.9"), ..good.clone() };
        assert!(matches!(verify(&keys, &changed, b"program"), Err(ReleaseError::BadSignature)));
        let claimed = SignedRelease { key: good.key, ..strange };
        assert!(matches!(verify(&keys, &claimed, b"program"), Err(ReleaseError::BadSignature)));
        for other in [statement("something-else", b"program"), "{}".to_owned(), String::new()] {
            assert!(
                matches!(verify(&keys, &sign(1, &other), b"program"), Err(ReleaseError::BadStatement(_))),
                "{other}"
            );
        }
    }
}
