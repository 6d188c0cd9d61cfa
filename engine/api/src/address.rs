//! Addresses as people type them, found in a World: node-roles in their deployment, workload versions by their names.

use std::{str::FromStr, sync::Arc};

use rebar_model::{
    Deployment, DeploymentName, Digest, NodeName, NodeRole, NodeRoleId, RoleName, Target, Workload, World,
};

use crate::error::ApiError;

/// A deployment that has to be there.
pub(crate) fn deployment<'a>(world: &'a World, name: &DeploymentName) -> Result<&'a Deployment, ApiError> {
    world.deployments().get(name).ok_or_else(|| ApiError::not_found("deployment", name))
}

/// A node-role that has to be there: `role@node`, `role@deployment`, `role`, or any of them after `deployment/`.
pub(crate) fn node_role<'a>(world: &'a World, name: &DeploymentName, text: &str) -> Result<&'a NodeRole, ApiError> {
    let candidates = candidates(name, text)?;
    candidates.iter().find_map(|it| world.node_role(it)).ok_or_else(|| ApiError::not_found("node-role", text))
}

/// What an address could mean. A node may have the name of the deployment; then the node is meant.
pub(crate) fn candidates(name: &DeploymentName, text: &str) -> Result<Vec<NodeRoleId>, ApiError> {
    let local = match text.split_once('/') {
        Some((deployment, local)) if deployment == name.as_str() => local,
        Some((deployment, _)) => {
            return Err(ApiError::Malformed(format!("`{text}` is in deployment `{deployment}`, not in `{name}`")));
        }
        None => text,
    };
    // An attempt's address is its node-role's with `#3` behind.
    let local = local.split_once('#').map_or(local, |(local, _)| local);
    let (role, target) = local.split_once('@').map_or((local, None), |(role, target)| (role, Some(target)));
    let role: RoleName = parse(role)?;
    let of = |target| NodeRoleId { deployment: name.clone(), role: role.clone(), target };
    let Some(target) = target else { return Ok(vec![of(Target::Deployment)]) };
    let mut found = vec![of(Target::Node(parse::<NodeName>(target)?))];
    if target == name.as_str() {
        found.push(of(Target::Deployment));
    }
    Ok(found)
}

/// A workload version that has to be there: `name@version`, a digest, or a name of which there is one version.
pub(crate) fn workload<'a>(world: &'a World, text: &str) -> Result<&'a Arc<Workload>, ApiError> {
    let missing = || ApiError::not_found("workload", text);
    if let Ok(digest) = Digest::from_str(text) {
        return world.workloads().get(&digest).ok_or_else(missing);
    }
    let named: Vec<_> =
        world.workloads().values().filter(|it| it.metadata.name.as_str() == text || it.reference() == text).collect();
    match named.as_slice() {
        [] => Err(missing()),
        [one] => Ok(one),
        several => {
            let candidates = several.iter().map(|it| it.reference()).collect::<Vec<_>>().join(", ");
            Err(ApiError::Ambiguous { name: text.to_owned(), candidates })
        }
    }
}

/// Parses a name, or says what is wrong with it.
pub(crate) fn parse<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error: T::Err| ApiError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood() {
        let check = |text: &str, expected: &[&str]| {
            let found = candidates(&"demo".parse().unwrap(), text).unwrap();
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{text}");
        };
        check("web@n1", &["demo/web@n1"]);
        check("web@n1#3", &["demo/web@n1"]);
        check("demo/web@n1", &["demo/web@n1"]);
        check("dns", &["demo/dns"]);
        check("dns@demo", &["demo/dns@demo", "demo/dns"]);
        for bad in ["", "Web@n1", "other/web@n1", "web@"] {
            assert!(candidates(&"demo".parse().unwrap(), bad).is_err(), "{bad}");
        }
    }
}
