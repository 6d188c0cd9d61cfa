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
    let Reported { os, arch, init } = reported(node);
    let arches: Vec<_> = platforms.arch.iter().map(|it| it.as_str()).collect();
    let counts = [
        ("operating system", os, texts(&platforms.os)),
        ("architecture", arch, arches),
        ("init system", init, texts(&platforms.init)),
    ];
    let named = || counts.iter().filter(|(_, _, wanted)| !wanted.is_empty());
    if named().any(|(_, is, wanted)| !is.is_empty() && !wanted.contains(is)) {
        return Fit::Other;
    }
    named().find(|(_, is, _)| is.is_empty()).map_or(Fit::Made, |(what, ..)| Fit::Unreported(what))
}

fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
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

/// What counts of a machine; empty where it has not said so.
struct Reported<'a> {
    os: &'a str,
    arch: &'a str,
    init: &'a str,
}

fn reported(node: &Node) -> Reported<'_> {
    let none = Reported { os: "", arch: "", init: "" };
    node.facts.as_ref().map_or(none, |it| Reported { os: &it.os.id, arch: &it.arch, init: &it.init })
}

/// What a machine is, as far as it said so: `debian on amd64 with systemd`.
fn machine(node: &Node) -> String {
    let Reported { os, arch, init } = reported(node);
    words(os, arch, init)
}

/// What a role is made for: `debian or ubuntu on amd64`.
fn made_for(role: &RoleDefinition) -> String {
    let Platforms { os, arch, init } = role.manifest.spec.platforms.clone().unwrap_or_default();
    let arch = arch.into_iter().map(Arch::as_str).collect::<Vec<_>>().join(" or ");
    words(&os.join(" or "), &arch, &init.join(" or "))
}

fn words(os: &str, arch: &str, init: &str) -> String {
    let machine = match (os, arch) {
        ("", it) | (it, "") => it.to_owned(),
        (os, arch) => format!("{os} on {arch}"),
    };
    match (machine.is_empty(), init) {
        (_, "") => machine,
        (true, init) => format!("machines with {init}"),
        (false, init) => format!("{machine} with {init}"),
    }
}
