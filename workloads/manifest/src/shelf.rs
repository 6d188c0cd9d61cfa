//! The workloads that a package uses: found among those that are at hand, and taken over into the workload that is made of it. What
//! can be wrong with that is said by `lint/taken.rs`.

use std::{collections::BTreeSet, sync::Arc};

use rebar_model::{GroupName, RoleDefinition, Taken, Used, Workload};

use crate::{Diagnostic, Import, Package, draft::Draft, read};

/// The workload versions that are at hand when a package is looked at.
#[derive(Debug, Clone, Copy)]
pub enum Shelf<'a> {
    /// All that there are: what a package uses and is not among them is a mistake.
    Whole(&'a [Arc<Workload>]),
    /// Some of them: what is not among them may be elsewhere.
    Part(&'a [Arc<Workload>]),
}

impl<'a> Shelf<'a> {
    /// Nothing is at hand.
    pub const EMPTY: Shelf<'static> = Shelf::Part(&[]);

    /// The highest version that meets a requirement.
    pub(crate) fn find(&self, used: &Used) -> Option<&'a Arc<Workload>> {
        let fits = |it: &&Arc<Workload>| used.version.matches(&it.metadata.version);
        self.of(used).filter(fits).max_by(|a, b| a.metadata.version.cmp(&b.metadata.version))
    }

    /// The versions of the workload that a requirement names.
    pub(crate) fn of(&self, used: &Used) -> impl Iterator<Item = &'a Arc<Workload>> {
        let name = used.workload.clone();
        self.workloads().iter().filter(move |it| it.metadata.name == name)
    }

    fn workloads(&self) -> &'a [Arc<Workload>] {
        match self {
            Self::Whole(it) | Self::Part(it) => it,
        }
    }
}

/// What a package uses, as far as that can be read.
pub fn uses(package: &Package) -> Vec<Used> {
    let draft = Draft::load(package, Shelf::EMPTY, &mut Vec::new());
    draft.workload.and_then(|it| it.manifest).map(|it| it.spec.uses).unwrap_or_default()
}

/// Reads packages that may use each other, in whatever order they are given. One that cannot be read comes back with its place in
/// `packages` and its mistakes.
pub fn read_all(packages: &[Package]) -> Result<Vec<Arc<Workload>>, (usize, Vec<Diagnostic>)> {
    let mut there: Vec<Arc<Workload>> = Vec::new();
    let mut left: Vec<usize> = (0..packages.len()).collect();
    loop {
        let mut refused = Vec::new();
        for at in &left {
            match read(&packages[*at], &there) {
                Ok(Import { workload, .. }) => there.push(Arc::new(workload)),
                Err(diagnostics) => refused.push((*at, diagnostics)),
            }
        }
        // What was read in this round may be what another waits for; a round without any helps nobody.
        if refused.is_empty() || refused.len() == left.len() {
            return refused.into_iter().next().map_or(Ok(there), Err);
        }
        left = refused.into_iter().map(|it| it.0).collect();
    }
}

/// What a workload remembers of one that it took over.
pub(crate) fn taken(workload: &Workload) -> Taken {
    Taken {
        workload: workload.metadata.name.clone(),
        version: workload.metadata.version.clone(),
        digest: workload.digest,
    }
}

/// A role of a used workload as it is in the one that uses it: groups that are not there say nothing of where it lands.
pub(crate) fn fitted(role: &Arc<RoleDefinition>, groups: &BTreeSet<&GroupName>) -> Arc<RoleDefinition> {
    let foreign = |bind: &rebar_model::Bind| bind.groups.iter().any(|it| !groups.contains(it));
    if !role.manifest.spec.bind.as_ref().is_some_and(foreign) {
        return role.clone();
    }
    let mut role = RoleDefinition::clone(role);
    if let Some(bind) = &mut role.manifest.spec.bind {
        bind.groups.retain(|it| groups.contains(it));
    }
    Arc::new(role)
}
