//! Where an input's value comes from, as written under `from:`: exactly one of a few closed shapes, so that editors complete
//! it and the linter checks its type.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{GroupName, Ident, RoleName};

/// Where an input's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub enum Source {
    /// A parameter of the workload.
    Deployment(Ident),
    /// A fact of the node, as a dotted path such as `addresses.primary`.
    Node(String),
    /// Something of the site: a parameter of the global level, and the way into it, as a dotted path such as `dns.domain`.
    Site(String),
    /// A secret of the site: the name of a parameter of the global level that was set as a secret.
    Secret(Ident),
    /// The members of a group.
    Group {
        /// Which group.
        group: GroupName,
        /// What of its members.
        field: GroupField,
    },
    /// An output of another role.
    Role {
        /// Which role.
        role: RoleName,
        /// Which of its outputs.
        output: Ident,
        /// Of which of its instances.
        take: Take,
    },
    /// A CEL expression over `deployment`, `params`, `node` and `group`.
    Expr(String),
}

/// What of a group's members an input takes, ordered by their ordinal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GroupField {
    /// The names of the nodes.
    #[default]
    Names,
    /// Their primary addresses.
    Addresses,
    /// How many there are.
    Count,
}

/// Which instances of a role an edge means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Take {
    /// The instance on the same node.
    #[default]
    #[serde(rename = "self")]
    Same,
    /// The elected one: of a `leader` or `deployment` role its only instance, else that on the node with the lowest ordinal.
    Leader,
    /// Exactly one candidate; more or none is an error that lists them.
    One,
    /// Every instance; the value is an array ordered by the ordinal of the node.
    All,
    /// Every instance; the value is an object from node name to value.
    ByNode,
    /// Any one instance: the value is that of the lowest ordinal among those that are active first.
    Any,
    /// More than half of the instances; the value is an array of those that are active then.
    Quorum,
}

impl Take {
    /// Whether the value collects from several nodes.
    pub fn collects(self) -> bool {
        matches!(self, Self::All | Self::ByNode | Self::Quorum)
    }
}

/// The keys of `from:` as written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deployment: Option<Ident>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    site: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Ident>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<GroupField>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<RoleName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<Ident>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    take: Option<Take>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expr: Option<String>,
}

impl TryFrom<Fields> for Source {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let Fields { deployment, node, site, secret, group, field, role, output, take, expr } = fields;
        let of_group = group.is_some() || field.is_none();
        let of_role = role.is_some() == output.is_some() && (role.is_some() || take.is_none());
        let mut sources = [
            deployment.map(Self::Deployment),
            node.map(Self::Node),
            site.map(Self::Site),
            secret.map(Self::Secret),
            group.map(|group| Self::Group { group, field: field.unwrap_or_default() }),
            role.zip(output).map(|(role, output)| Self::Role { role, output, take: take.unwrap_or_default() }),
            expr.map(Self::Expr),
        ]
        .into_iter()
        .flatten();
        match (sources.next(), sources.next()) {
            (Some(source), None) if of_group && of_role => Ok(source),
            _ => Err(
                "`from` takes exactly one of deployment, node, site, secret, group (with field), role and output (with take), expr",
            ),
        }
    }
}

impl From<Source> for Fields {
    fn from(source: Source) -> Self {
        match source {
            Source::Deployment(it) => Self { deployment: Some(it), ..Self::default() },
            Source::Node(it) => Self { node: Some(it), ..Self::default() },
            Source::Site(it) => Self { site: Some(it), ..Self::default() },
            Source::Secret(it) => Self { secret: Some(it), ..Self::default() },
            Source::Group { group, field } => Self { group: Some(group), field: Some(field), ..Self::default() },
            Source::Role { role, output, take } => {
                Self { role: Some(role), output: Some(output), take: Some(take), ..Self::default() }
            }
            Source::Expr(it) => Self { expr: Some(it), ..Self::default() },
        }
    }
}

impl JsonSchema for Source {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "from".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<RoleName>();
        let ident = generator.subschema_for::<Ident>();
        let take = generator.subschema_for::<Take>();
        let field = generator.subschema_for::<GroupField>();
        let closed = |properties: serde_json::Value, required: &[&str]| serde_json::json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required});
        json_schema!({"oneOf": [
            closed(serde_json::json!({"deployment": ident}), &["deployment"]),
            closed(serde_json::json!({"node": {"type": "string"}}), &["node"]),
            closed(serde_json::json!({"site": {"type": "string"}}), &["site"]),
            closed(serde_json::json!({"secret": ident}), &["secret"]),
            closed(serde_json::json!({"group": name, "field": field}), &["group"]),
            closed(serde_json::json!({"role": name, "output": ident, "take": take}), &["role", "output"]),
            closed(serde_json::json!({"expr": {"type": "string"}}), &["expr"]),
        ]})
    }
}
