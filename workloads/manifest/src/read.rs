//! From a package to an imported workload: the linter first, then the typed documents and the archives of the roles. Storing
//! them is the caller's work.

use std::{collections::BTreeMap, sync::Arc};

use rebar_model::{Digest, RoleDefinition, Workload};

use crate::{Diagnostic, Package, draft::Draft, lint};

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

/// Reads a package; with errors it is refused, and all that was found is given back.
pub fn read(package: &Package) -> Result<Import, Vec<Diagnostic>> {
    let (draft, diagnostics) = lint::examine(package);
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
    let workload = Workload { digest: package.digest(), metadata: manifest.metadata, spec: manifest.spec, roles };
    Some(Import { workload, archives, warnings: warnings.to_vec() })
}
