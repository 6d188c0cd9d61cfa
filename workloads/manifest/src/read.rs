//! From a package to an imported workload: the linter first, then the typed documents and the archives of the roles. Storing
//! them is the caller's work.

use std::{collections::BTreeMap, sync::Arc};

use rebar_model::{Digest, RoleDefinition, Workload};

use crate::{
    Diagnostic, Package, Shelf,
    draft::Draft,
    lint,
    shelf::{fitted, taken},
};

/// A workload ready to be stored.
#[derive(Debug, Clone)]
pub struct Import {
    /// The workload.
    pub workload: Workload,
    /// The archives of its roles, by the digest that [`RoleDefinition::content`] names.
    pub archives: BTreeMap<Digest, Vec<u8>>,
    /// What the author may want to look at.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a package that may use the workloads `there`; with errors it is refused, and all that was found is given back.
pub fn read(package: &Package, there: &[Arc<Workload>]) -> Result<Import, Vec<Diagnostic>> {
    let (draft, diagnostics) = lint::examine(package, Shelf::Whole(there));
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(diagnostics);
    }
    import(package, draft, &diagnostics).ok_or(diagnostics)
}

/// The workload of a draft in which nothing is missing; the linter has seen to that.
fn import(package: &Package, draft: Draft, warnings: &[Diagnostic]) -> Option<Import> {
    let manifest = draft.workload?.manifest?;
    let mut archives = BTreeMap::new();
    let mut roles = BTreeMap::new();
    for (directory, loaded) in draft.roles {
        let manifest = loaded.manifest?;
        let (content, archive) = package.role_archive(&directory);
        archives.insert(content, archive);
        roles.insert(manifest.metadata.name.clone(), Arc::new(RoleDefinition { manifest, content }));
    }
    let (digest, metadata, spec) = (package.digest(), manifest.metadata, manifest.spec);
    let mut workload = Workload { digest, metadata, spec, roles, taken: Vec::new() };
    for used in draft.used.iter().flatten() {
        take_over(&mut workload, used);
    }
    Some(Import { workload, archives, warnings: warnings.to_vec() })
}

/// Adds the roles and parameters of a used workload. Its roles' archives are kept where it was imported.
fn take_over(workload: &mut Workload, used: &Workload) {
    let groups = workload.spec.groups.keys().collect();
    let roles = used.roles.iter().map(|(name, role)| (name.clone(), fitted(role, &groups)));
    workload.roles.extend(roles);
    for (name, parameter) in &used.spec.inputs {
        workload.spec.inputs.entry(name.clone()).or_insert_with(|| parameter.clone());
    }
    workload.taken.push(taken(used));
}
