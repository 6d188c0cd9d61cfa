//! A release of the agent: programs by platform, each with a statement that a release key signed. Nothing is verified here; what
//! the statement says and what the world keeps of it is. Which agent runs which release is `agent.rs`.

use std::{collections::BTreeMap, fmt, str::FromStr};

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Digest, Facts};

/// The largest program of a release, in bytes: eight times what an agent has, and little enough to be held in memory.
pub const MAX_RELEASE_BYTES: usize = 64 * 1024 * 1024;

/// Some bytes of a fixed length, written in hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex<const N: usize>(pub [u8; N]);

/// A public release key: Ed25519, RFC 8032.
pub type ReleaseKey = Hex<32>;
/// A signature with a release key.
pub type ReleaseSignature = Hex<64>;
/// A SHA-256 digest, as people compare it with `sha256sum`.
pub type Sha256 = Hex<32>;

/// A text that is not so many hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {} hexadecimal digits", 2 * .length)]
pub struct InvalidHex {
    text: String,
    length: usize,
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hex({self})")
    }
}

impl<const N: usize> FromStr for Hex<N> {
    type Err = InvalidHex;
    fn from_str(text: &str) -> Result<Self, InvalidHex> {
        let mut bytes = [0; N];
        let invalid = |_| InvalidHex { text: text.chars().take(4 * N).collect(), length: N };
        hex::decode_to_slice(text, &mut bytes).map_err(invalid)?;
        Ok(Self(bytes))
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What a program runs on, written `linux/amd64`: the kernel, and the processor as Debian names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ReleasePlatform(String);

/// A text that is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: write OS/ARCH, as in linux/amd64")]
pub struct InvalidPlatform(String);

impl ReleasePlatform {
    /// The longest one, in characters.
    const LONGEST: usize = 32;

    /// The platform of a machine, once its agent has said what it is. Agents run on Linux alone.
    pub fn of(facts: &Facts) -> Option<Self> {
        format!("linux/{}", facts.arch).parse().ok()
    }
}

impl fmt::Display for ReleasePlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ReleasePlatform {
    type Err = InvalidPlatform;
    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let plain = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
        match text.split_once('/') {
            Some((os, arch)) if plain(os) && plain(arch) && text.len() <= Self::LONGEST => Ok(Self(text.to_owned())),
            _ => Err(InvalidPlatform(text.chars().take(2 * Self::LONGEST).collect())),
        }
    }
}

impl<'de> Deserialize<'de> for ReleasePlatform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What a release key signs about a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseStatement {
    /// Always [`ReleaseStatement::KIND`]: a signature about something else is worth nothing here.
    pub kind: String,
    /// The version of the release.
    pub version: Version,
    /// What the program runs on.
    pub platform: ReleasePlatform,
    /// The digest of the program.
    pub sha256: Sha256,
}

impl ReleaseStatement {
    /// What a statement is about.
    pub const KIND: &str = "rebar-agent-release";
}

/// A statement with its signature. The statement stays the text that was signed: who verifies it does not write it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRelease {
    /// A [`ReleaseStatement`] as JSON.
    pub statement: String,
    /// The key that signed it.
    pub key: ReleaseKey,
    /// The signature over the bytes of the statement.
    pub signature: ReleaseSignature,
}

/// A release of the agent, as far as it was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRelease {
    /// Its version.
    pub version: Version,
    /// Its programs.
    pub builds: BTreeMap<ReleasePlatform, AgentBuild>,
}

/// The program of a release for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentBuild {
    /// What agents fetch it by.
    pub content: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The digest that was signed.
    pub sha256: Sha256,
    /// What agents verify it by.
    pub signed: SignedRelease,
    /// When it was imported.
    pub imported_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_written_as_they_are_read() {
        for good in ["linux/amd64", "linux/arm64", "linux/riscv64"] {
            assert_eq!(good.parse::<ReleasePlatform>().unwrap().to_string(), good);
        }
        for bad in ["", "linux", "linux/", "/amd64", "Linux/amd64", "linux/amd64/v2", "../x", "linux/ amd64"] {
            assert!(bad.parse::<ReleasePlatform>().is_err(), "{bad}");
        }
        assert_eq!(ReleasePlatform::of(&Facts::default()), None, "a machine that said nothing has none");
    }

    #[test]
    fn keys_are_so_many_digits() {
        let key = "ab".repeat(32);
        assert_eq!(key.parse::<ReleaseKey>().unwrap().to_string(), key);
        for bad in ["", "ab", &"ab".repeat(33), &"xy".repeat(32)] {
            assert!(bad.parse::<ReleaseKey>().is_err(), "{bad}");
        }
    }
}
