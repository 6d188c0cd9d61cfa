//! Validated names: one generic [`Name`] with a marker for what it names, so that a `NodeName` never meets a `RoleName`,
//! and [`Ident`] for the ports of a role. Identifiers that Rebar hands out itself live in `id.rs`.

use std::{fmt, marker::PhantomData, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest name, in bytes: a DNS label (RFC 1035 section 2.3.4).
pub const MAX_NAME: usize = 63;

/// Markers for what a [`Name`] names.
pub mod kind {
    /// Declares one marker type.
    macro_rules! marker {
        ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum $name {}
        )*};
    }
    marker!(
        /// A machine.
        Node,
        /// A role definition.
        Role,
        /// A workload package.
        Workload,
        /// A deployment.
        Deployment,
        /// A group of nodes in a workload.
        Group,
        /// A named bundle of parameter values.
        Profile,
        /// An interface that roles provide and require.
        Capability,
        /// A lock that roles on one node name.
        Lock,
    );
}

/// A name of the form `[a-z][a-z0-9]*(-[a-z0-9]+)*`, at most 63 bytes. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<K>(Arc<str>, PhantomData<K>);

/// The name of a node.
pub type NodeName = Name<kind::Node>;
/// The name of a role.
pub type RoleName = Name<kind::Role>;
/// The name of a workload.
pub type WorkloadName = Name<kind::Workload>;
/// The name of a deployment.
pub type DeploymentName = Name<kind::Deployment>;
/// The name of a group.
pub type GroupName = Name<kind::Group>;
/// The name of a profile.
pub type ProfileName = Name<kind::Profile>;
/// The name of a capability.
pub type CapabilityName = Name<kind::Capability>;
/// The name of a lock.
pub type LockName = Name<kind::Lock>;

/// A text that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a name: {expected}")]
pub struct InvalidName {
    /// What was given.
    pub text: String,
    /// The rule that it breaks.
    pub expected: &'static str,
}

const NAME_RULE: &str =
    "use lower-case letters, digits and single dashes, starting with a letter, at most 63 characters";
const IDENT_RULE: &str =
    "use lower-case letters, digits and underscores, starting with a letter, at most 63 characters";

impl<K> Name<K> {
    /// The pattern that the schemas print.
    pub const PATTERN: &'static str = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$";

    /// Parses a name.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let starts = text.starts_with(|first: char| first.is_ascii_lowercase());
        let parts = text.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
        if starts && parts && text.len() <= MAX_NAME {
            Ok(Self(text.into(), PhantomData))
        } else {
            Err(InvalidName { text: text.to_owned(), expected: NAME_RULE })
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that orders before or equal to every other.
    pub(crate) fn lowest() -> Self {
        Self("a".into(), PhantomData)
    }
}

impl<K> fmt::Display for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<K> fmt::Debug for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<K> FromStr for Name<K> {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl<K> Serialize for Name<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, K> Deserialize<'de> for Name<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(de::Error::custom)
    }
}

impl<K> JsonSchema for Name<K> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "name".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": Self::PATTERN, "maxLength": MAX_NAME})
    }
}

/// The name of an input, an output or a parameter: `[a-z][a-z0-9_]*`, at most 63 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ident(Arc<str>);

impl Ident {
    /// The pattern that the schemas print.
    pub const PATTERN: &'static str = "^[a-z][a-z0-9_]*$";

    /// Parses an identifier.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let starts = text.starts_with(|first: char| first.is_ascii_lowercase());
        let body = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if starts && body && text.len() <= MAX_NAME {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName { text: text.to_owned(), expected: IDENT_RULE })
        }
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for Ident {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl Serialize for Ident {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Ident {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for Ident {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ident".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": Self::PATTERN, "maxLength": MAX_NAME})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule() {
        for good in ["a", "n1", "prod-w-17", "kubelet", &"x".repeat(MAX_NAME)] {
            assert!(NodeName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "1a", "A", "a_b", "a.b", &"x".repeat(MAX_NAME + 1)] {
            assert!(NodeName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn identifiers_follow_the_rule() {
        assert!(Ident::new("worker_token").is_ok());
        for bad in ["", "a-b", "_a", "A", "9"] {
            assert!(Ident::new(bad).is_err(), "{bad}");
        }
    }
}
