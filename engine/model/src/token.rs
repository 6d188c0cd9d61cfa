//! Tokens, kept as hashes only: the one-time token that a new agent enrols with, and the token of an operator.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Digest, NodeName};

/// The hash of a token. Tokens are 256 random bits, so a plain fast hash is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(pub Digest);

impl TokenHash {
    /// The hash of a token as it was given.
    pub fn of(token: &str) -> Self {
        Self(Digest::of(token.as_bytes()))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.short())
    }
}

/// What a new agent trades for its identity, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolToken {
    /// Its hash.
    pub hash: TokenHash,
    /// The node that it makes the agent of.
    pub node: NodeName,
    /// When it is worth nothing any more.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
}

/// What an operator shows to the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// Its hash.
    pub hash: TokenHash,
    /// Whose it is.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is worth nothing any more; none if it lasts.
    pub expires_at: Option<Timestamp>,
}
