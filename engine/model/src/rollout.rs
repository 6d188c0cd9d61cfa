//! How changes are brought to nodes, as authors write it under `rollout:`: order, canaries, how many at once, what must stay up,
//! and when to stop. What the scheduler makes of it is its own; waves and breakers are not carried out yet, so that a plan says so.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{GroupName, Name, RoleName, Span};

/// How changes are brought to nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollout {
    /// The groups, one after another; those that it leaves out come last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<GroupName>,
    /// The nodes that go first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// How many nodes are changed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<Amount>,
    /// The label whose values fail together, as `node.labels.rack`: never two of them are changed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_domain: Option<String>,
    /// What must stay up meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
    /// When to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerSpec>,
    /// What has to be answered on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
}

/// The nodes that go first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Canary {
    /// How many; by default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Amount>,
    /// How long they are watched before the others follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Span>,
    /// Which nodes are preferred: a CEL expression over `node`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

/// What must stay up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quorum {
    /// The role whose instances are counted.
    pub role: RoleName,
    /// How many of them stay active.
    pub min_active: Amount,
}

/// When to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BreakerSpec {
    /// How many nodes may fail: it opens when attempts have failed on more. A share is one of the deployment's nodes, rounded down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failed: Option<Amount>,
    /// How many attempts that fail in a row open it, those of retries too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub consecutive: Option<u32>,
    /// What happens then.
    #[serde(default, skip_serializing_if = "is_pause")]
    pub on_trip: OnTrip,
    /// Whether nodes count that were broken before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub count_existing: bool,
}

/// What happens when a breaker trips.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnTrip {
    /// Nothing new starts until a person decides.
    #[default]
    Pause,
    /// The nodes that were touched go back.
    Rollback,
}

/// Something that has to be answered on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    /// When it is asked.
    pub after: GatePoint,
    /// Who answers.
    #[serde(rename = "type")]
    pub kind: GateKind,
    /// Of `http`: the address that has to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Of `metric`: the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Of `http` and `metric`: a CEL expression over the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expr: Option<String>,
    /// Of `role`: the role that has to succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// Of `manual`: who may answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    /// How long an answer may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Who answers a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GateKind {
    /// A person.
    Manual,
    /// An HTTP endpoint.
    Http,
    /// A metric.
    Metric,
    /// A role.
    Role,
}

/// How many of several, as a number or as a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Count(u32),
    /// So many of a hundred.
    Percent(u8),
}

impl Amount {
    /// The pattern of a share that the schemas print.
    pub const PATTERN: &'static str = "^(100|[0-9]{1,2})%$";

    /// Of so many. A share is rounded down.
    pub fn of(self, all: usize) -> u32 {
        let all = u64::try_from(all).unwrap_or(u64::MAX);
        match self {
            Self::Count(it) => it,
            Self::Percent(it) => u32::try_from(all.saturating_mul(it.into()) / 100).unwrap_or(u32::MAX),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(it) => write!(f, "{it}"),
            Self::Percent(it) => write!(f, "{it}%"),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(it) => serializer.serialize_u32(*it),
            Self::Percent(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Count(u32),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Count(it) => Ok(Self::Count(it)),
            Written::Text(text) => percent(&text).map(Self::Percent).ok_or_else(|| {
                de::Error::custom(format!("`{text}` is neither a number nor a share of a hundred such as `10%`"))
            }),
        }
    }
}

fn percent(text: &str) -> Option<u8> {
    let digits = text.strip_suffix('%').filter(|it| it.bytes().all(|it| it.is_ascii_digit()))?;
    digits.parse().ok().filter(|it| *it <= 100)
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "amount".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": Self::PATTERN}]})
    }
}

/// A point on the way of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatePoint {
    /// When the canaries are done.
    Canary,
    /// When so many of a hundred are done.
    Percent(u8),
    /// When a group is done.
    Group(GroupName),
    /// When a role is done everywhere.
    Role(RoleName),
}

impl GatePoint {
    /// The pattern that the schemas print.
    pub const PATTERN: &'static str = "^(canary|(100|[0-9]{1,2})%|(group|role):[a-z][a-z0-9]*(-[a-z0-9]+)*)$";
}

impl fmt::Display for GatePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Canary => f.write_str("canary"),
            Self::Percent(it) => write!(f, "{it}%"),
            Self::Group(it) => write!(f, "group:{it}"),
            Self::Role(it) => write!(f, "role:{it}"),
        }
    }
}

impl FromStr for GatePoint {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("`{text}` is not a point of a rollout: write canary, 25%, group:NAME or role:NAME");
        match text.split_once(':') {
            None if text == "canary" => Ok(Self::Canary),
            None => percent(text).map(Self::Percent).ok_or_else(invalid),
            Some(("group", name)) => Name::new(name).map(Self::Group).map_err(|_| invalid()),
            Some(("role", name)) => Name::new(name).map(Self::Role).map_err(|_| invalid()),
            Some(_) => Err(invalid()),
        }
    }
}

impl Serialize for GatePoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GatePoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for GatePoint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "gatePoint".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": Self::PATTERN})
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_pause(it: &OnTrip) -> bool {
    *it == OnTrip::Pause
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_and_points_are_written_as_they_are_read() {
        for value in [json!(0), json!(7), json!("0%"), json!("51%"), json!("100%")] {
            let amount: Amount = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(amount).unwrap(), value);
        }
        for bad in [json!(-1), json!("101%"), json!("7"), json!("%"), json!("+5%"), json!(1.5)] {
            assert!(serde_json::from_value::<Amount>(bad.clone()).is_err(), "{bad}");
        }
        for text in ["canary", "25%", "group:manager", "role:swarm-smoke"] {
            assert_eq!(text.parse::<GatePoint>().unwrap().to_string(), text);
        }
        for bad in ["", "canaries", "group:", "group:Bad", "wave:1", "200%"] {
            assert!(bad.parse::<GatePoint>().is_err(), "{bad}");
        }
    }
}
