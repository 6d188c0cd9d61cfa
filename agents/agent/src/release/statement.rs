//! What a release key said about a program, and whether it is to be believed here. The bytes that were signed are kept and sent as
//! they are, so that nobody has to write them again in the same way.

use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::{
    facts,
    release::trust::{self, Key},
};

/// What a statement is about.
const KIND: &str = "rebar-agent-release";
/// The longest statement, in bytes.
const LONGEST: usize = 4096;

/// A statement with its signature, as an order brings it and as it lies beside the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// A [`Statement`] as JSON.
    pub statement: String,
    /// The public key, in hexadecimal.
    pub key: String,
    /// The signature over the bytes of the statement, in hexadecimal.
    pub signature: String,
}

/// What was signed about a program.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Statement {
    kind: String,
    /// The version of the release.
    pub version: String,
    /// What the program runs on.
    pub platform: String,
    /// The digest of the program, in hexadecimal.
    pub sha256: String,
}

impl Signed {
    /// What was signed, if one of these keys did, about a program for this machine. The error says why not.
    pub fn verify(&self, keys: &[Key]) -> Result<Statement, String> {
        if keys.is_empty() {
            return Err("this machine trusts no release key; `rebar-agent trust KEY` there gives it one".to_owned());
        }
        let key = trust::parse(&self.key)?;
        if !keys.contains(&key) {
            return Err(format!("it is signed with the key {}, which this machine does not trust", self.key));
        }
        let signature = hex::decode(&self.signature).map_err(|_| "the signature is not hexadecimal".to_owned())?;
        UnparsedPublicKey::new(&ED25519, key)
            .verify(self.statement.as_bytes(), &signature)
            .map_err(|_| "the signature is not that of the statement".to_owned())?;
        let statement = self.read()?;
        if statement.platform != platform() {
            return Err(format!("it is for {}, and this machine is {}", statement.platform, platform()));
        }
        Ok(statement)
    }

    /// What it says, whoever signed it.
    pub fn read(&self) -> Result<Statement, String> {
        if self.statement.len() > LONGEST {
            return Err("the statement is too long".to_owned());
        }
        let statement: Statement =
            serde_json::from_str(&self.statement).map_err(|error| format!("the statement cannot be read: {error}"))?;
        let digits = |it: &str| it.len() == 64 && it.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
        let plain = |it: &str| (1..=128).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_graphic());
        match () {
            () if statement.kind != KIND => Err(format!("the statement is about `{}`", statement.kind)),
            () if !digits(&statement.sha256) => Err("the statement names no digest".to_owned()),
            () if !plain(&statement.version) => Err("the statement names no version".to_owned()),
            () => Ok(statement),
        }
    }
}

/// What this program runs on.
pub fn platform() -> String {
    format!("{}/{}", std::env::consts::OS, facts::arch())
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn sign(seed: u8, statement: String) -> Signed {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("key");
        let signature = hex::encode(pair.sign(statement.as_bytes()));
        Signed { statement, key: hex::encode(pair.public_key()), signature }
    }

    fn text(kind: &str, platform: &str, sha256: &str) -> String {
        format!(r#"{{"kind":"{kind}","version":"1.2.3","platform":"{platform}","sha256":"{sha256}"}}"#)
    }

    #[test]
    fn only_what_a_trusted_key_said_about_this_platform_is_believed() {
        let digest = "ab".repeat(32);
        let good = sign(1, text(KIND, &platform(), &digest));
        let keys = [trust::parse(&good.key).expect("key")];
        assert_eq!(good.verify(&keys).expect("good").sha256, digest);
        let other = sign(2, good.statement.clone());
        let refused = [
            (good.clone(), &[][..], "trusts no release key"),
            (other.clone(), &keys[..], "does not trust"),
            (Signed { key: good.key.clone(), ..other }, &keys, "not that of the statement"),
            (Signed { statement: good.statement.replace("1.2.3", "9.9.9"), ..good.clone() }, &keys, "not that of"),
            (Signed { signature: "xy".to_owned(), ..good.clone() }, &keys, "not hexadecimal"),
            (Signed { key: "ab".to_owned(), ..good }, &keys, "not a release key"),
            (sign(1, text(KIND, "plan9/mips", &digest)), &keys, "it is for plan9/mips, and this machine is linux/"),
            (sign(1, text("something", &platform(), &digest)), &keys, "is about `something`"),
            (sign(1, text(KIND, &platform(), "../../etc")), &keys, "names no digest"),
            (sign(1, "{}".to_owned()), &keys, "cannot be read"),
            (sign(1, " ".repeat(LONGEST + 1)), &keys, "too long"),
        ];
        for (signed, keys, why) in refused {
            let error = signed.verify(keys).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }
}
