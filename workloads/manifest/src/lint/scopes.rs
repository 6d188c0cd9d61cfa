//! Where roles run: whether the instance that a role reads can be the one it names. Whether its runner works there is `runners.rs`.

use std::collections::BTreeMap;

use rebar_model::{RoleManifest, Scope, Source, Take};

use super::{Context, expressions::without_node, types::word, uses::Use};
use crate::{Code, Diagnostic, Place, document::Document, draft::WORKLOAD};

/// The groups of each role.
type Bindings<'a> = BTreeMap<&'a str, Vec<&'a str>>;

pub(super) fn check(context: &mut Context<'_>) {
    let bindings = context.bindings();
    for each in Use::all(context) {
        match each.source {
            Source::Node(_) if !each.has_node() => without_node(context, each.place("node"), &each.subject()),
            Source::Role { role, take, .. } => {
                let Some(target) = context.manifest(role.as_str()) else { continue };
                let place = each.place("take");
                let edge = Edge { reader: each.reader, place, subject: each.subject(), take: *take };
                edge.check(context, role.as_str(), target, &bindings);
            }
            _ => {}
        }
    }
    for (name, document, manifest) in context.draft.typed() {
        for (at, require) in manifest.spec.requires.iter().enumerate() {
            let place = document.place(&["spec", "requires", &at.to_string(), "take"]);
            let reader = Some((name, manifest));
            let edge = Edge { reader, place, subject: format!("role {name}"), take: require.take };
            if let Some(role) = require.role.as_ref().filter(|_| !require.optional)
                && let Some(target) = context.manifest(role.as_str())
            {
                edge.check(context, role.as_str(), target, &bindings);
            } else if let Some(capability) = &require.capability {
                edge.capability(context, capability.as_str());
            }
        }
        never_bound(context, name, document, manifest, &bindings);
    }
}

/// A role that waits for another, or reads from it.
struct Edge<'a> {
    /// None for an output of the workload.
    reader: Option<(&'a str, &'a RoleManifest)>,
    place: Place,
    subject: String,
    take: Take,
}

impl<'a> Edge<'a> {
    fn has_node(&self) -> bool {
        self.reader.is_some_and(|(_, it)| it.spec.scope.has_node())
    }

    /// Whether the instance that `take` names can exist.
    fn check(&self, context: &mut Context<'a>, role: &str, target: &RoleManifest, bindings: &Bindings<'a>) {
        match self.take {
            Take::Same if Context::is_single(target) => self.single(context, &format!("the role {role}")),
            Take::Same if !self.has_node() => self.collect(context, &format!("the role {role}")),
            Take::Same => self.same_node(context, role, target, bindings),
            Take::One if target.spec.scope == Scope::Node => self.one(context, role, bindings),
            _ => {}
        }
    }

    /// The same questions about whatever provides a capability.
    fn capability(&self, context: &mut Context<'a>, capability: &str) {
        let providers: Vec<&RoleManifest> = context
            .draft
            .members()
            .map(|it| it.manifest)
            .filter(|it| it.spec.provides.iter().any(|it| it.as_str() == capability))
            .collect();
        if self.take != Take::Same || providers.is_empty() {
            return;
        }
        let what = format!("what provides `{capability}`");
        if providers.iter().all(|it| Context::is_single(it)) {
            self.single(context, &what);
        } else if !self.has_node() && providers.iter().all(|it| it.spec.scope == Scope::Node) {
            self.collect(context, &what);
        }
    }

    /// A role with one instance is nobody's neighbour.
    fn single(&self, context: &mut Context<'_>, what: &str) {
        let message = format!("{} takes {what} from its own node, but that runs once in the deployment", self.subject);
        let diagnostic = Diagnostic::error(Code::TakeLeader, self.place.clone(), message);
        context.push(diagnostic.label("needs `take: leader`").help("write `take: leader`"));
    }

    /// A role without a node has no neighbours.
    fn collect(&self, context: &mut Context<'_>, what: &str) {
        let message = format!("{} takes {what} from its own node, but has none", self.subject);
        let help = "write `take: all`, `take: byNode`, `take: any` or `take: leader`";
        context.push(Diagnostic::error(Code::TakeCollect, self.place.clone(), message).help(help));
    }

    /// The other role is on each node where this one is.
    fn same_node(&self, context: &mut Context<'_>, role: &str, target: &RoleManifest, bindings: &Bindings<'_>) {
        let Some((name, manifest)) = self.reader else { return };
        let (Some(mine), Some(theirs)) = (bindings.get(name), bindings.get(role)) else { return };
        let implicit = |it: &RoleManifest| it.spec.bind.as_ref().is_some_and(|it| it.implicit);
        // A role that is brought in where it is needed, and into any group, is always there; so is one that no group has, of
        // which `never_bound` speaks.
        if theirs.is_empty() || mine.is_empty() || (implicit(target) && theirs.is_empty()) || name == role {
            return;
        }
        let missing: Vec<&str> = mine.iter().copied().filter(|it| !theirs.contains(it)).collect();
        let enough = match manifest.spec.scope {
            // The one node lies in one of the groups; only where none of them fits it is certain that it does not.
            Scope::Leader | Scope::Deployment | Scope::Service => missing.len() < mine.len(),
            Scope::Node => missing.is_empty(),
        };
        // What is only there where somebody needs it may not be where the other one is missing.
        if enough || implicit(manifest) {
            return;
        }
        let message = format!(
            "{} takes the role {role} from its own node, which is not on the nodes of {}",
            self.subject,
            missing.join(", ")
        );
        let help = format!("add {} to the groups of {role}, or take it from elsewhere with `take`", missing.join(", "));
        context.push(Diagnostic::error(Code::NotOnSameNode, self.place.clone(), message).help(help));
    }

    /// `one` with many candidates.
    fn one(&self, context: &mut Context<'_>, role: &str, bindings: &Bindings<'_>) {
        let Some((_, workload)) = context.workload() else { return };
        let groups = bindings.get(role).map(Vec::as_slice).unwrap_or_default();
        let many = |name: &&&str| {
            let group = workload.spec.groups.iter().find(|(it, _)| it.as_str() == **name);
            group.is_some_and(|(_, it)| it.max.is_none_or(|max| max > 1))
        };
        let found = groups.iter().find(many).copied().or_else(|| (groups.len() > 1).then(|| groups[0]));
        if let Some(group) = found {
            let message = format!(
                "{} takes exactly `{}` of the role {role}, and the group {group} may have more",
                self.subject,
                word(self.take)
            );
            let help = format!("write `take: leader` or `take: any`, or give the group {group} `max: 1`");
            context.push(Diagnostic::warning(Code::TakeOneOfMany, self.place.clone(), message).help(help));
        }
    }
}

/// A role that no plan will ever hold.
fn never_bound(
    context: &mut Context<'_>,
    name: &str,
    document: &Document,
    manifest: &RoleManifest,
    bindings: &Bindings<'_>,
) {
    let implicit = manifest.spec.bind.as_ref().is_some_and(|it| it.implicit);
    let bound = bindings.get(name).is_some_and(|it| !it.is_empty()) || document.has(&["spec", "bind", "groups", "0"]);
    // A group may list it under a wrong name; that is said already.
    let misspelt = context.found.iter().any(|it| it.code == Code::UnknownRole && it.place.file == WORKLOAD);
    let readable = context.draft.workload.as_ref().is_some_and(|it| it.complete);
    if manifest.spec.scope.has_node() && !implicit && !bound && !misspelt && readable {
        let message = format!("no group has the role {name}, so it never runs");
        let help = "add it to the `roles` of a group, or write `bind: {groups: [GROUP]}`";
        context.push(Diagnostic::warning(Code::NeverBound, document.place(&["metadata", "name"]), message).help(help));
    }
}
