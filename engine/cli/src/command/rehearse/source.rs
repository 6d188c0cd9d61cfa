//! Where a scenario comes from: the folder of a package, or a deployment of the engine at hand with its parameters, its members and
//! its history.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use rebar_api::types::{AttemptResult, AttemptView, NodeView};
use rebar_manifest::Diagnostic;
use rebar_model::{
    AttemptKind, DeploymentName, Facts, GroupName, NodeName, ParameterScope, ParameterSpec, ProfileName, Source, Span,
    Workload,
};
use rebar_rehearsal::{Durations, Fault, Scenario, Setting, SimulatedNode, Size, facts, sizes};

use super::{Args, named, refused, wrong};
use crate::{
    app::App,
    client::Client,
    command::{set, workload},
    failure::Failure,
};

/// How many attempts of the past are asked for.
const HISTORY: usize = 20_000;
/// How long an agent is silent before the engine takes it for gone: the most that the agents' door waits.
const SILENCE: Span = Span::from_secs(15);

/// What is known of what is to be rehearsed.
struct Base {
    name: DeploymentName,
    workload: Arc<Workload>,
    /// The nodes that there are, in their groups.
    members: BTreeMap<GroupName, Vec<SimulatedNode>>,
    profiles: Vec<ProfileName>,
    parameters: Vec<Setting>,
    /// What was taken as given.
    notes: Vec<String>,
}

/// The scenario that the arguments describe, and what was taken as given; none where the linter has said why there is none.
pub(super) async fn scenario(
    app: &App,
    args: &Args,
    faults: Vec<Fault>,
    seed: u64,
) -> Result<Option<(Scenario, Vec<String>)>, Failure> {
    let mut durations = Durations::default();
    let base = if is_folder(&args.target) {
        let Some(base) = package(app, args).await? else { return Ok(None) };
        base
    } else {
        deployment(app.client().await?, args).await?
    };
    let past = args.history.as_ref().or((!is_folder(&args.target)).then_some(&base.name));
    if let Some(name) = past {
        learn(&mut durations, app.client().await?.history(name, HISTORY).await?);
    }
    for (role, median, p95) in &args.durations {
        durations.give(role.clone(), *median, *p95);
    }
    let size = Size {
        members: base.members.iter().map(|(group, nodes)| (group.clone(), nodes.len())).collect(),
        topology: args.topology.clone(),
        groups: named(&args.groups)?,
        nodes: args.nodes,
    };
    let sizes = sizes(&base.workload, &size).map_err(refused)?;
    let mut crowd = Crowd::new(&base, args.platform.clone());
    let mut groups = BTreeMap::new();
    for (group, count) in &sizes {
        groups.insert(group.clone(), crowd.group(group, *count)?);
    }
    let (nodes, copied) = (crowd.nodes.into_values().collect(), crowd.parameters);
    let mut parameters = base.parameters;
    parameters.extend(copied);
    let scenario = Scenario {
        deployment: base.name,
        workload: base.workload,
        nodes,
        groups,
        profiles: base.profiles,
        parameters,
        outputs: args.outputs.iter().cloned().collect(),
        durations,
        faults,
        seed,
        silence: SILENCE,
        patience: rebar_api::AWAY_GRACE,
    };
    Ok(Some((scenario, base.notes)))
}

/// A folder is told from the name of a deployment by what no name has.
fn is_folder(target: &str) -> bool {
    target.contains(['/', '.'])
}

/// A package of which no deployment is at hand.
async fn package(app: &App, args: &Args) -> Result<Option<Base>, Failure> {
    let dir = Path::new(&args.target);
    let package = workload::read(dir)?;
    let mut used = workload::at_hand(&args.with)?;
    if args.with.is_empty() {
        // Only what a package uses needs an engine, and only where no folders are named.
        used = workload::imported(app, &package).await?;
    }
    let workload = match rebar_manifest::read(&package, &used) {
        Ok(import) => Arc::new(import.workload),
        Err(diagnostics) => {
            let errors: Vec<Diagnostic> = diagnostics.into_iter().filter(Diagnostic::is_error).collect();
            workload::report(app, dir, &package, &errors)?;
            return Ok(None);
        }
    };
    let name: DeploymentName = workload.metadata.name.as_str().parse().map_err(|_| wrong("the package has no name"))?;
    let scope = ParameterScope::Deployment(name.clone());
    let mut values = match &args.topology {
        Some(shape) => workload.spec.topologies.get(shape).map(|it| it.inputs.clone()).unwrap_or_default(),
        None => BTreeMap::new(),
    };
    values.extend(set::typed(&workload, &args.values.plain, &args.values.secret)?);
    let secret = |name: &rebar_model::Ident| workload.spec.inputs.get(name).is_some_and(ParameterSpec::is_secret);
    let mut parameters: Vec<Setting> = values
        .into_iter()
        .map(|(name, value)| Setting { scope: scope.clone(), secret: secret(&name), name, value: Some(value) })
        .collect();
    let notes = fill_in(&workload, &scope, &mut parameters);
    Ok(Some(Base { name, workload, members: BTreeMap::new(), profiles: Vec::new(), parameters, notes }))
}

/// Adds what a deployment would have to set and nobody did: the author's example, or a secret that is made up.
fn fill_in(workload: &Workload, scope: &ParameterScope, parameters: &mut Vec<Setting>) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, spec) in &workload.spec.inputs {
        if spec.default.is_some() || parameters.iter().any(|it| it.name == *name) {
            continue;
        }
        let (scope, name) = (scope.clone(), name.clone());
        if spec.is_secret() {
            notes.push(format!("{name} is a secret that was made up"));
            parameters.push(Setting { scope, name, value: None, secret: true });
        } else if let Some(example) = spec.examples.first() {
            notes.push(format!("{name} is {example}, its author's example; say yours with --set"));
            parameters.push(Setting { scope, name, value: Some(example.clone()), secret: false });
        }
    }
    let roles = workload.roles.values().flat_map(|it| it.manifest.spec.inputs.values());
    let site: BTreeSet<_> = roles
        .filter_map(|it| match &it.from {
            Some(Source::Secret(name)) => Some(name.clone()),
            _ => None,
        })
        .collect();
    for name in site {
        notes.push(format!("{name} is a secret of the site that was made up"));
        parameters.push(Setting { scope: ParameterScope::Global, name, value: None, secret: true });
    }
    notes
}

/// A deployment of the engine at hand, as it is wished for now.
async fn deployment(client: &Client, args: &Args) -> Result<Base, Failure> {
    let name: DeploymentName =
        args.target.parse().map_err(|error: rebar_model::InvalidName| wrong(error.to_string()))?;
    let hint = |failure: Failure| match failure.exit {
        crate::Exit::NotFound => failure.fix(format!("for a package in the folder {name} write ./{name}")),
        _ => failure,
    };
    let view = client.deployment(&name).await.map_err(hint)?;
    let workload = Arc::new(client.workload(&view.spec.workload.to_string()).await?.workload);
    let nodes: BTreeMap<NodeName, NodeView> =
        client.nodes(None).await?.into_iter().map(|it| (it.node.name.clone(), it)).collect();
    let member = |(place, name): (usize, &NodeName)| {
        let known = nodes.get(name).map(|it| it.node.clone());
        let (os, arch) = &args.platform;
        let made_up = || facts(name, place, os, arch);
        SimulatedNode {
            name: name.clone(),
            labels: known.as_ref().map(|it| it.labels.clone()).unwrap_or_default(),
            profiles: known.as_ref().map(|it| it.profiles.clone()).unwrap_or_default(),
            facts: known.and_then(|it| it.facts).unwrap_or_else(made_up),
        }
    };
    let groups = view.spec.groups.iter();
    let members: BTreeMap<GroupName, Vec<SimulatedNode>> =
        groups.map(|(group, nodes)| (group.clone(), nodes.iter().enumerate().map(member).collect())).collect();
    let mut notes = Vec::new();
    let mut parameters = Vec::new();
    for it in client.parameters(None).await? {
        let meant = match &it.scope {
            ParameterScope::Global | ParameterScope::Profile(_) => true,
            ParameterScope::Deployment(of) => *of == name,
            ParameterScope::Node(of) => members.values().flatten().any(|it| it.name == *of),
        };
        if meant {
            parameters.push(Setting {
                value: (!it.secret).then_some(it.value),
                scope: it.scope,
                name: it.name,
                secret: it.secret,
            });
        }
    }
    if parameters.iter().any(|it| it.secret) {
        notes.push("secrets do not leave the engine: values were made up for them".to_owned());
    }
    let scope = ParameterScope::Deployment(name.clone());
    for (name, value) in set::typed(&workload, &args.values.plain, &args.values.secret)? {
        let secret = workload.spec.inputs.get(&name).is_some_and(ParameterSpec::is_secret);
        parameters.retain(|it| it.scope != scope || it.name != name);
        parameters.push(Setting { scope: scope.clone(), name, value: Some(value), secret });
    }
    Ok(Base { name, workload, members, profiles: view.spec.profiles, parameters, notes })
}

/// What attempts of the past say about the roles.
fn learn(durations: &mut Durations, attempts: Vec<AttemptView>) {
    let mut lengths: BTreeMap<_, Vec<Span>> = BTreeMap::new();
    for it in attempts {
        let counts = it.result == AttemptResult::Succeeded && !it.converged && it.kind != AttemptKind::Undo;
        if let Some(ended_at) = it.ended_at.filter(|_| counts) {
            let took = u64::try_from(ended_at.duration_since(it.started_at).as_millis()).unwrap_or(0);
            lengths.entry(it.node_role.role).or_default().push(Span::from_millis(took));
        }
    }
    for (role, lengths) in lengths {
        durations.learn(role, lengths);
    }
}

/// The nodes of a rehearsal: those that there are, and more of their kind.
struct Crowd<'a> {
    base: &'a Base,
    platform: (String, String),
    nodes: BTreeMap<NodeName, SimulatedNode>,
    taken: BTreeSet<NodeName>,
    /// Those of nodes that were made after others.
    parameters: Vec<Setting>,
}

impl<'a> Crowd<'a> {
    fn new(base: &'a Base, platform: (String, String)) -> Self {
        let taken = base.members.values().flatten().map(|it| it.name.clone()).collect();
        Self { base, platform, nodes: BTreeMap::new(), taken, parameters: Vec::new() }
    }

    /// The nodes of a group; the first ones are those that it has.
    fn group(&mut self, group: &GroupName, count: usize) -> Result<Vec<NodeName>, Failure> {
        let base = self.base;
        let members = base.members.get(group).map(Vec::as_slice).unwrap_or_default();
        let mut names = Vec::with_capacity(count);
        for place in 0..count {
            let node = match members.get(place) {
                Some(member) => member.clone(),
                None => self.another(group, place, members)?,
            };
            names.push(node.name.clone());
            self.nodes.insert(node.name.clone(), node);
        }
        Ok(names)
    }

    /// A node like one of the members, or like any machine where there are none.
    fn another(
        &mut self,
        group: &GroupName,
        place: usize,
        members: &[SimulatedNode],
    ) -> Result<SimulatedNode, Failure> {
        let mut number = place + 1;
        let name = loop {
            let name: NodeName = format!("{group}-{number}").parse().map_err(|error| wrong(format!("{error}")))?;
            if !self.taken.contains(&name) {
                break name;
            }
            number += 1;
        };
        self.taken.insert(name.clone());
        let fresh = facts(&name, self.taken.len(), &self.platform.0, &self.platform.1);
        let Some(like) = members.get(place % members.len().max(1)) else {
            return Ok(SimulatedNode { name, labels: BTreeMap::new(), profiles: Vec::new(), facts: fresh });
        };
        let set = self.base.parameters.iter().filter(|it| it.scope == ParameterScope::Node(like.name.clone()));
        let copies = set.map(|it| Setting { scope: ParameterScope::Node(name.clone()), ..it.clone() });
        self.parameters.extend(copies);
        let facts =
            Facts { hostname: fresh.hostname, addresses: fresh.addresses, nics: fresh.nics, ..like.facts.clone() };
        Ok(SimulatedNode { name, labels: like.labels.clone(), profiles: like.profiles.clone(), facts })
    }
}
