//! The linter: every mistake of a package at once. Reading is `draft.rs`, shape is `shape.rs`; the modules below look at
//! meaning, one subject each, and never stop at the first mistake.

mod builtins;
mod expressions;
mod files;
mod groups;
mod names;
mod order;
mod parameters;
mod phases;
mod references;
mod rollout;
mod runners;
mod scopes;
mod taken;
mod templates;
mod types;
mod uses;
mod values;

use std::collections::BTreeMap;

use rebar_model::{ParameterSpec, RoleManifest, Scope, WorkloadManifest};

use crate::{
    Diagnostic, Package, Severity, Shelf,
    document::Document,
    draft::{Draft, Loaded, Origin},
};

/// Finds every mistake of a package, ordered by file, line and column. What it uses is looked for on the shelf.
pub fn lint(package: &Package, shelf: Shelf<'_>) -> Vec<Diagnostic> {
    examine(package, shelf).1
}

/// The draft of a package with all that is to be said about it.
pub(crate) fn examine(package: &Package, shelf: Shelf<'_>) -> (Draft, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let draft = Draft::load(package, shelf, &mut found);
    let mut context = Context { package, shelf, draft: &draft, found };
    for check in [
        names::check,
        taken::check,
        references::check,
        types::check,
        values::check,
        expressions::check,
        scopes::check,
        runners::check,
        order::check,
        phases::check,
        templates::check,
        files::check,
        builtins::check,
        groups::check,
        rollout::check,
        parameters::check,
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
    shelf: Shelf<'a>,
    draft: &'a Draft,
    found: Vec<Diagnostic>,
}

impl<'a> Context<'a> {
    fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Something is not found. It may come from a used workload that is not at hand; then that is all that can be said.
    fn push_missing(&mut self, diagnostic: Diagnostic) {
        if !self.draft.is_open() {
            return self.push(diagnostic);
        }
        let help = match self.shelf {
            Shelf::Whole(_) => "what the package uses is not imported, and may have it",
            Shelf::Part(_) => {
                "what the package uses is not at hand, and may have it: name the packages with `--with DIR`"
            }
        };
        self.push(Diagnostic { severity: Severity::Warning, ..diagnostic }.help(help));
    }

    /// The workload, if it could be typed.
    fn workload(&self) -> Option<(&'a Document, &'a WorkloadManifest)> {
        let Loaded { document, manifest, .. } = self.draft.workload.as_ref()?;
        Some((document, manifest.as_ref()?))
    }

    /// The names of the workload's parameters, also of those whose definition is broken, and of those that are taken over; `None` if
    /// nobody can know.
    fn parameters(&self) -> Option<Vec<&'a str>> {
        let mut names = self.draft.workload.as_ref()?.document.keys(&["spec", "inputs"]);
        names.extend(self.draft.taken().flat_map(|(_, it)| it.spec.inputs.keys()).map(rebar_model::Ident::as_str));
        Some(names)
    }

    /// A parameter that could be typed, or is taken over.
    fn parameter(&self, name: &str) -> Option<&'a ParameterSpec> {
        self.draft.parameter(name)
    }

    /// The names of the workload's groups, also of those whose definition is broken; `None` if nobody can know.
    fn groups(&self) -> Option<Vec<&'a str>> {
        Some(self.draft.workload.as_ref()?.document.keys(&["spec", "groups"]))
    }

    /// The groups of each role: those that list it and those that it binds itself to. A group that is not there says nothing of where
    /// a role lands that is taken over.
    fn bindings(&self) -> BTreeMap<&'a str, Vec<&'a str>> {
        let mut bindings: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let known = self.groups().unwrap_or_default();
        for member in self.draft.members() {
            let groups = bindings.entry(member.name).or_default();
            let own = member.manifest.spec.bind.iter().flat_map(|it| &it.groups).map(rebar_model::Name::as_str);
            groups.extend(own.filter(|it| matches!(member.origin, Origin::Here(_)) || known.contains(it)));
            if let Some((_, workload)) = self.workload() {
                let lists = workload
                    .spec
                    .groups
                    .iter()
                    .filter(|(_, group)| group.roles.iter().any(|it| it.as_str() == member.name));
                groups.extend(lists.map(|(group, _)| group.as_str()));
            }
            groups.sort_unstable();
            groups.dedup();
        }
        bindings
    }

    /// A role that could be typed, or is taken over.
    fn manifest(&self, name: &str) -> Option<&'a RoleManifest> {
        self.draft.manifest(name)
    }

    /// Whether a role has one instance in a deployment, whatever the groups.
    fn is_single(manifest: &RoleManifest) -> bool {
        manifest.spec.scope != Scope::Node
    }
}
