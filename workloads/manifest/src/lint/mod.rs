//! The linter: every mistake of a package at once. Reading is `draft.rs`, shape is `shape.rs`; the modules below look at
//! meaning, one subject each, and never stop at the first mistake.

mod builtins;
mod expressions;
mod groups;
mod names;
mod order;
mod phases;
mod references;
mod scopes;
mod types;
mod uses;
mod values;

use std::collections::BTreeMap;

use rebar_model::{RoleManifest, Scope, WorkloadManifest};

use crate::{
    Diagnostic, Package,
    document::Document,
    draft::{Draft, Loaded},
};

/// Finds every mistake of a package, ordered by file, line and column.
pub fn lint(package: &Package) -> Vec<Diagnostic> {
    examine(package).1
}

/// The draft of a package with all that is to be said about it.
pub(crate) fn examine(package: &Package) -> (Draft, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let draft = Draft::load(package, &mut found);
    let mut context = Context { package, draft: &draft, found };
    for check in [
        names::check,
        references::check,
        types::check,
        values::check,
        expressions::check,
        scopes::check,
        order::check,
        phases::check,
        builtins::check,
        groups::check,
    ] {
        check(&mut context);
    }
    let mut found = context.found;
    found.sort_by(|a, b| (&a.place, a.code, &a.message).cmp(&(&b.place, b.code, &b.message)));
    found.dedup();
    (draft, found)
}

/// What every check sees, and where it puts what it finds.
struct Context<'a> {
    package: &'a Package,
    draft: &'a Draft,
    found: Vec<Diagnostic>,
}

impl<'a> Context<'a> {
    fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// The workload, if it could be typed.
    fn workload(&self) -> Option<(&'a Document, &'a WorkloadManifest)> {
        let Loaded { document, manifest, .. } = self.draft.workload.as_ref()?;
        Some((document, manifest.as_ref()?))
    }

    /// The names of the workload's parameters, also of those whose definition is broken; `None` if nobody can know.
    fn parameters(&self) -> Option<Vec<&'a str>> {
        Some(self.draft.workload.as_ref()?.document.keys(&["spec", "inputs"]))
    }

    /// The names of the workload's groups, also of those whose definition is broken; `None` if nobody can know.
    fn groups(&self) -> Option<Vec<&'a str>> {
        Some(self.draft.workload.as_ref()?.document.keys(&["spec", "groups"]))
    }

    /// The groups of each role: those that list it and those that it binds itself to.
    fn bindings(&self) -> BTreeMap<&'a str, Vec<&'a str>> {
        let mut bindings: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, _, manifest) in self.draft.typed() {
            let groups = bindings.entry(name).or_default();
            groups.extend(manifest.spec.bind.iter().flat_map(|it| &it.groups).map(rebar_model::Name::as_str));
            if let Some((_, workload)) = self.workload() {
                let lists =
                    workload.spec.groups.iter().filter(|(_, group)| group.roles.iter().any(|it| it.as_str() == name));
                groups.extend(lists.map(|(group, _)| group.as_str()));
            }
            groups.sort_unstable();
            groups.dedup();
        }
        bindings
    }

    /// A role that could be typed.
    fn manifest(&self, name: &str) -> Option<&'a RoleManifest> {
        self.draft.role(name)?.manifest.as_ref()
    }

    /// Whether a role has one instance in a deployment, whatever the groups.
    fn is_single(manifest: &RoleManifest) -> bool {
        manifest.spec.scope != Scope::Node
    }
}
