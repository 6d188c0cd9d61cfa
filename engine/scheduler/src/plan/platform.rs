//! Whether a machine is one that a role is made for. Where roles land is `land.rs`.

use rebar_model::{Arch, Node, Platforms, RoleDefinition, RoleName, Workload};

use super::PlanError;

/// How a machine suits a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// The role is made for it, or for every machine.
    Made,
    /// The role is made for others.
    Other,
    /// What counts is not known, in words.
    Unreported(&'static str),
}

/// How a machine suits a role.
pub(super) fn fit(role: &RoleDefinition, node: &Node) -> Fit {
    let Some(platforms) = &role.manifest.spec.platforms else { return Fit::Made };
    let (os, arch) = reported(node);
    let other_os = !os.is_empty() && !platforms.os.is_empty() && !platforms.os.iter().any(|it| it == os);
    let other_arch =
        !arch.is_empty() && !platforms.arch.is_empty() && !platforms.arch.iter().any(|it| it.as_str() == arch);
    if other_os || other_arch {
        Fit::Other
    } else if os.is_empty() && !platforms.os.is_empty() {
        Fit::Unreported("operating system")
    } else if arch.is_empty() && !platforms.arch.is_empty() {
        Fit::Unreported("architecture")
    } else {
        Fit::Made
    }
}

/// The mistake of having a role on a machine that does not suit it; none if it does.
pub(super) fn mistake(name: &RoleName, role: &RoleDefinition, node: &Node) -> Option<PlanError> {
    let why = match fit(role, node) {
        Fit::Made => return None,
        Fit::Other => format!("is {}", machine(node)),
        Fit::Unreported(what) => format!("has not reported its {what}; is its agent here?"),
    };
    Some(PlanError::WrongPlatform { role: name.clone(), made_for: made_for(role), node: node.name.clone(), why })
}

/// What to add where none of these roles is on a machine: those that would be, were they made for it.
pub(super) fn left_out<'a>(
    workload: &Workload,
    roles: impl Iterator<Item = &'a RoleName>,
    node: Option<&Node>,
) -> String {
    let Some(node) = node else { return String::new() };
    let others = roles.filter_map(|name| {
        let role = workload.roles.get(name).filter(|it| fit(it, node) == Fit::Other)?;
        Some(format!("; `{name}` is made for {}, and `{}` is {}", made_for(role), node.name, machine(node)))
    });
    others.collect()
}

fn reported(node: &Node) -> (&str, &str) {
    node.facts.as_ref().map_or(("", ""), |it| (&it.os.id, &it.arch))
}

/// What a machine is, as far as it said so: `debian on amd64`.
fn machine(node: &Node) -> String {
    match reported(node) {
        (os, "") => os.to_owned(),
        ("", arch) => arch.to_owned(),
        (os, arch) => format!("{os} on {arch}"),
    }
}

/// What a role is made for: `debian or ubuntu on amd64`.
fn made_for(role: &RoleDefinition) -> String {
    let Platforms { os, arch } = role.manifest.spec.platforms.clone().unwrap_or_default();
    let arch = arch.into_iter().map(Arch::as_str).collect::<Vec<_>>().join(" or ");
    match (os.join(" or "), arch) {
        (os, arch) if arch.is_empty() => os,
        (os, arch) if os.is_empty() => arch,
        (os, arch) => format!("{os} on {arch}"),
    }
}
