//! Which roles land where: the instances of a deployment. What their inputs are bound to is `bind.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rebar_model::{
    CapabilityName, Deployment, GroupName, GroupSpec, InputSpec, Node, NodeName, NodeRoleId, RoleDefinition, RoleName,
    RunsOn, Scope, Source, Target, Workload, World,
};
use serde_json::{Value, json};

use super::{
    PlanError,
    aim::Aim,
    parameter,
    platform::{self, Fit},
};
use crate::expr::holds;

/// A role on one node, or on the deployment itself.
#[derive(Debug, Clone)]
pub(super) struct Instance<'a> {
    pub id: NodeRoleId,
    pub role: &'a Arc<RoleDefinition>,
    pub node: Option<&'a Node>,
    pub group: Option<GroupName>,
    pub ordinal: u32,
}

impl Instance<'_> {
    /// The node whose agent runs it.
    pub fn agent(&self) -> Option<NodeName> {
        let spec = &self.role.manifest.spec;
        let default = if spec.runner.on_agent() && spec.scope.has_node() { RunsOn::Agent } else { RunsOn::Engine };
        match spec.runs_on.unwrap_or(default) {
            RunsOn::Agent => self.node.map(|it| it.name.clone()),
            RunsOn::Engine => None,
        }
    }
}

/// Everything of a deployment before it is wired.
pub(super) struct Landscape<'a> {
    pub aim: &'a Aim<'a>,
    pub workload: &'a Arc<Workload>,
    pub leaders: BTreeMap<RoleName, NodeName>,
    members: BTreeMap<&'a NodeName, Member<'a>>,
    by_role: BTreeMap<RoleName, Instances<'a>>,
    /// The names of the nodes of each group, as expressions see them.
    group_names: Value,
}

/// The instances of a role.
#[derive(Default)]
struct Instances<'a> {
    /// Ordered by group, ordinal and name.
    all: Vec<Instance<'a>>,
    /// Where in that order the one of a node is.
    on_node: BTreeMap<&'a NodeName, usize>,
}

/// A node with the groups that it is in.
struct Member<'a> {
    node: &'a Node,
    groups: BTreeMap<&'a GroupName, u32>,
}

impl<'a> Landscape<'a> {
    /// All instances, in a stable order.
    pub fn instances(&self) -> impl Iterator<Item = &Instance<'a>> {
        self.by_role.values().flat_map(|it| &it.all)
    }

    /// The instances of a role, ordered by group, ordinal and name.
    pub fn of_role(&self, role: &RoleName) -> &[Instance<'a>] {
        self.by_role.get(role).map_or(&[], |it| it.all.as_slice())
    }

    /// The instance of a role on a node.
    pub fn on_node(&self, role: &RoleName, node: &NodeName) -> Option<&Instance<'a>> {
        let instances = self.by_role.get(role)?;
        instances.on_node.get(node).map(|at| &instances.all[*at])
    }

    /// The instances of a role that stand on the same node as another, or on none; all of them for one without a node.
    pub fn beside(&self, role: &RoleName, other: &Instance<'_>) -> Vec<&Instance<'a>> {
        let all = self.of_role(role);
        match other.id.node() {
            Some(node) if all.first().is_some_and(|it| it.node.is_some()) => {
                self.on_node(role, node).into_iter().collect()
            }
            _ => all.iter().collect(),
        }
    }

    /// The instance of a role with the same target as another: on its node, or without one as it.
    pub fn same_target(&self, role: &RoleName, other: &Instance<'_>) -> Option<&Instance<'a>> {
        match other.id.node() {
            Some(node) => self.on_node(role, node),
            None => self.of_role(role).first().filter(|it| it.node.is_none()),
        }
    }

    /// Whether another sees an instance of a role: one with the same target, or one without a node.
    pub fn in_sight(&self, role: &RoleName, other: &Instance<'_>) -> bool {
        self.same_target(role, other).is_some() || self.of_role(role).first().is_some_and(|it| it.node.is_none())
    }

    /// The roles of the workload that provide a capability.
    pub fn providing(&self, capability: &CapabilityName) -> impl Iterator<Item = &'a RoleName> {
        let roles = self.workload.roles.iter();
        roles.filter(|(_, it)| it.manifest.spec.provides.contains(capability)).map(|(name, _)| name)
    }

    /// The nodes of a group, by ordinal.
    pub fn group(&self, group: &GroupName) -> Vec<&'a Node> {
        let mut nodes: Vec<_> =
            self.members.values().filter_map(|it| Some((*it.groups.get(group)?, it.node))).collect();
        nodes.sort_by_key(|(ordinal, _)| *ordinal);
        nodes.into_iter().map(|(_, node)| node).collect()
    }

    /// The variables that expressions see.
    pub fn variables(&self, world: &World, node: Option<&Node>) -> Vec<(&'static str, Value)> {
        let mut variables = vec![
            ("deployment", json!({"name": self.aim.deployment.name})),
            ("params", parameter::all(world, self.aim, self.workload, node)),
            ("group", self.group_names.clone()),
        ];
        if let Some(node) = node {
            variables.push(("node", node_variable(node)));
        }
        variables
    }
}

/// A node as expressions see it: its facts, name and labels at the top.
fn node_variable(node: &Node) -> Value {
    let mut value = serde_json::to_value(node.facts.clone().unwrap_or_default()).unwrap_or_else(|_| json!({}));
    if let Some(fields) = value.as_object_mut() {
        fields.insert("facts".to_owned(), serde_json::to_value(&node.facts).unwrap_or(Value::Null));
        fields.insert("name".to_owned(), json!(node.name));
        fields.insert("labels".to_owned(), json!(node.labels));
    }
    value
}

/// Finds out which roles land where.
pub(super) fn land<'a>(
    world: &'a World,
    aim: &'a Aim<'a>,
    workload: &'a Arc<Workload>,
    errors: &mut Vec<PlanError>,
) -> Landscape<'a> {
    let members = members(world, &aim.deployment, workload, errors);
    let leaders = BTreeMap::new();
    let mut landscape =
        Landscape { aim, workload, leaders, members, by_role: BTreeMap::new(), group_names: Value::Null };
    let names = |group| landscape.group(group).iter().map(|it| it.name.to_string()).collect::<Vec<_>>();
    landscape.group_names = workload.spec.groups.keys().map(|it| (it.to_string(), json!(names(it)))).collect();
    qualify(world, &landscape, errors);
    parameter::check(world, aim, workload, errors);
    let mut wanted = explicit(&landscape);
    let asks = workload.roles.iter().map(|(name, role)| (name, asks(workload, role))).collect();
    while let Some(more) = implied(&landscape, &asks, &wanted) {
        wanted.extend(more);
    }
    for (name, role) in &workload.roles {
        let instances = instances(world, &mut landscape, name, role, &wanted, errors);
        if !instances.is_empty() {
            let missing = role.manifest.spec.runner.missing();
            errors.extend(missing.map(|what| PlanError::NoRunner { role: name.clone(), what }));
            errors.extend(instances.iter().filter_map(|it| platform::mistake(name, role, it.node?)));
            let on_node = instances.iter().enumerate().filter_map(|(at, it)| Some((&it.node?.name, at))).collect();
            landscape.by_role.insert(name.clone(), Instances { all: instances, on_node });
        }
    }
    landscape
}

fn members<'a>(
    world: &'a World,
    deployment: &'a Deployment,
    workload: &'a Workload,
    errors: &mut Vec<PlanError>,
) -> BTreeMap<&'a NodeName, Member<'a>> {
    let mut members: BTreeMap<&NodeName, Member<'_>> = BTreeMap::new();
    for (group, nodes) in &deployment.spec.groups {
        if !workload.spec.groups.contains_key(group) {
            let known = workload.spec.groups.keys().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
            errors.push(PlanError::NoGroup { group: group.clone(), known });
            continue;
        }
        for (ordinal, name) in (0_u32..).zip(nodes) {
            match world.nodes().get(name) {
                None => errors.push(PlanError::NoNode { group: group.clone(), node: name.clone() }),
                Some(node) => {
                    let member = members.entry(name).or_insert(Member { node, groups: BTreeMap::new() });
                    member.groups.insert(group, ordinal);
                }
            }
        }
    }
    members
}

fn qualify(world: &World, landscape: &Landscape<'_>, errors: &mut Vec<PlanError>) {
    for (group, spec) in &landscape.workload.spec.groups {
        let nodes = landscape.group(group);
        if let Some(rule) = size_rule(spec, nodes.len()) {
            errors.push(PlanError::GroupSize { group: group.clone(), have: nodes.len(), rule });
        }
        let Some(needs) = &spec.needs else { continue };
        for node in nodes {
            let refuse = |why| PlanError::NotQualified { node: node.name.clone(), group: group.clone(), why };
            match holds(needs, &landscape.variables(world, Some(node))) {
                Ok(true) => {}
                Ok(false) => errors.push(refuse(format!("`{needs}` does not hold"))),
                Err(detail) => errors.push(refuse(detail)),
            }
        }
    }
}

fn size_rule(spec: &GroupSpec, have: usize) -> Option<String> {
    let have = u32::try_from(have).unwrap_or(u32::MAX);
    match (spec.min, spec.max) {
        (Some(min), _) if have < min => Some(format!("needs at least {min}")),
        (_, Some(max)) if have > max => Some(format!("takes at most {max}")),
        _ if spec.odd && have.is_multiple_of(2) => Some("needs an odd number".to_owned()),
        _ => None,
    }
}

type Wanted<'a> = BTreeSet<(&'a RoleName, Option<&'a NodeName>)>;

/// The places where the workload itself puts roles.
fn explicit<'a>(landscape: &Landscape<'a>) -> Wanted<'a> {
    let mut wanted = Wanted::new();
    for (name, role) in &landscape.workload.roles {
        let spec = &role.manifest.spec;
        let bind = spec.bind.clone().unwrap_or_default();
        if !spec.scope.has_node() {
            if !bind.implicit {
                wanted.insert((name, None));
            }
            continue;
        }
        for (node, member) in &landscape.members {
            let listed = |group: &GroupName| {
                let by_group = landscape.workload.spec.groups.get(group).is_some_and(|it| it.roles.contains(name));
                by_group || (!bind.implicit && bind.groups.contains(group))
            };
            if member.groups.keys().any(|group| listed(group)) {
                wanted.insert((name, Some(*node)));
            }
        }
    }
    wanted
}

/// The places that the roles so far ask for: implicit roles that they need; none when nothing is missing.
fn implied<'a>(landscape: &Landscape<'a>, asks: &Asks<'a>, wanted: &Wanted<'a>) -> Option<Wanted<'a>> {
    let mut more = Wanted::new();
    for (name, node) in wanted {
        for (needed, definition) in asks.get(*name).into_iter().flatten() {
            let spec = &definition.manifest.spec;
            if !spec.scope.has_node() {
                more.insert((needed, None));
                continue;
            }
            let lands = |(other, member): (&&'a NodeName, &Member<'_>)| {
                let bind = spec.bind.as_ref();
                let bound = bind.is_none_or(|bind| {
                    bind.groups.is_empty() || member.groups.keys().any(|it| bind.groups.contains(it))
                });
                // A machine that says nothing of itself is a candidate, and a mistake then.
                (bound && platform::fit(definition, member.node) != Fit::Other).then_some((*needed, Some(*other)))
            };
            match node {
                Some(node) if spec.scope != Scope::Leader => {
                    more.extend(landscape.members.get_key_value(*node).and_then(lands));
                }
                _ => more.extend(landscape.members.iter().filter_map(lands)),
            }
        }
    }
    let more: Wanted<'a> = more.difference(wanted).copied().collect();
    (!more.is_empty()).then_some(more)
}

/// The implicit roles that each role asks for.
type Asks<'a> = BTreeMap<&'a RoleName, Vec<(&'a RoleName, &'a RoleDefinition)>>;

/// The implicit roles that a role names, directly, as a source or by capability.
fn asks<'a>(workload: &'a Workload, role: &RoleDefinition) -> Vec<(&'a RoleName, &'a RoleDefinition)> {
    let spec = &role.manifest.spec;
    let names = |name: &RoleName, definition: &RoleDefinition| {
        let required = spec.requires.iter().any(|it| match (&it.role, &it.capability) {
            (Some(role), _) => role == name,
            (None, Some(capability)) => definition.manifest.spec.provides.contains(capability),
            (None, None) => false,
        });
        let read = |it: &InputSpec| matches!(&it.from, Some(Source::Role { role, .. }) if role == name);
        required || spec.inputs.values().any(read)
    };
    let implicit = |it: &RoleDefinition| it.manifest.spec.bind.as_ref().is_some_and(|it| it.implicit);
    let roles = workload.roles.iter().map(|(name, it)| (name, &**it));
    roles.filter(|(name, it)| implicit(it) && names(name, it)).collect()
}

fn instances<'a>(
    world: &World,
    landscape: &mut Landscape<'a>,
    name: &'a RoleName,
    role: &'a Arc<RoleDefinition>,
    wanted: &Wanted<'a>,
    errors: &mut Vec<PlanError>,
) -> Vec<Instance<'a>> {
    let mut found = Vec::new();
    let places = wanted.range((name, None)..).take_while(|(it, _)| *it == name);
    for (_, node) in places {
        let member = node.and_then(|it| landscape.members.get(it));
        if let Some(when) = &role.manifest.spec.when {
            let place = format!("role `{name}`, when");
            match holds(when, &landscape.variables(world, member.map(|it| it.node))) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(detail) => errors.push(PlanError::Expression { place, detail }),
            }
        }
        let seat = member.and_then(|it| seat(landscape.workload, it, name, role));
        let target = node.map_or(Target::Deployment, |it| Target::Node(it.clone()));
        found.push(Instance {
            id: NodeRoleId { deployment: landscape.aim.deployment.name.clone(), role: name.clone(), target },
            role,
            node: member.map(|it| it.node),
            group: seat.as_ref().map(|(group, _)| group.clone()),
            ordinal: seat.map_or(0, |(_, ordinal)| ordinal),
        });
    }
    found.sort_by(|a, b| (&a.group, a.ordinal, &a.id).cmp(&(&b.group, b.ordinal, &b.id)));
    if let Some(leader) = elect(&landscape.aim.deployment, name, &found) {
        landscape.leaders.insert(name.clone(), leader.clone());
        if role.manifest.spec.scope == Scope::Leader {
            found.retain(|it| it.id.node() == Some(&leader));
        }
    }
    found
}

/// The group through which a node got a role, and its place there.
fn seat(workload: &Workload, member: &Member<'_>, name: &RoleName, role: &RoleDefinition) -> Option<(GroupName, u32)> {
    let bound = |group: &GroupName| {
        let by_group = workload.spec.groups.get(group).is_some_and(|it| it.roles.contains(name));
        by_group || role.manifest.spec.bind.as_ref().is_some_and(|it| it.groups.is_empty() || it.groups.contains(group))
    };
    member.groups.iter().find(|(group, _)| bound(group)).map(|(group, ordinal)| ((*group).clone(), *ordinal))
}

/// The elected node of a role: the one elected before while it is a candidate, else the lowest ordinal.
fn elect(deployment: &Deployment, role: &RoleName, candidates: &[Instance<'_>]) -> Option<NodeName> {
    let before = deployment.leaders.get(role);
    let stays = candidates.iter().find(|it| it.id.node().is_some() && it.id.node() == before);
    stays.or_else(|| candidates.first()).and_then(|it| it.id.node().cloned())
}
