//! What people mean by an address: a deployment, a node-role in it, an attempt of that. `role@node` alone is looked for in every
//! deployment.

use rebar_model::DeploymentName;

use crate::{
    client::Client,
    failure::{Failure, Trouble},
};

/// What people mean by an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A deployment.
    Deployment(DeploymentName),
    /// A node-role.
    NodeRole(NodeRole),
}

/// A node-role, and perhaps one of its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRole {
    /// Its deployment.
    pub deployment: DeploymentName,
    /// Its address in the deployment.
    pub local: String,
    /// The `#3` of an attempt.
    pub attempt: Option<u32>,
}

/// An address as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    deployment: Option<DeploymentName>,
    local: Option<String>,
    attempt: Option<u32>,
}

fn parse(text: &str) -> Result<Written, Failure> {
    let wrong = |why: String| {
        Failure::new(Trouble::Argument, why)
            .fix("write DEPLOYMENT, ROLE@NODE, DEPLOYMENT/ROLE@NODE, or ROLE@NODE#3 for an attempt")
    };
    let (address, attempt) = match text.split_once('#') {
        None => (text, None),
        Some((address, number)) => {
            let number = number.parse().map_err(|_| wrong(format!("`#{number}` is not the number of an attempt")))?;
            (address, Some(number))
        }
    };
    let name = |text: &str| text.parse::<DeploymentName>().map_err(|error| wrong(error.to_string()));
    match address.split_once('/') {
        Some((deployment, local)) if !local.is_empty() => {
            Ok(Written { deployment: Some(name(deployment)?), local: Some(local.to_owned()), attempt })
        }
        Some(_) => Err(wrong(format!("`{text}` ends too soon"))),
        None if address.contains('@') => Ok(Written { deployment: None, local: Some(address.to_owned()), attempt }),
        None if attempt.is_none() => Ok(Written { deployment: Some(name(address)?), local: None, attempt }),
        None => Err(wrong(format!("`{text}` names no node"))),
    }
}

/// What an address means.
pub async fn resolve(client: &Client, text: &str) -> Result<Subject, Failure> {
    let Written { deployment, local, attempt } = parse(text)?;
    let found = |deployment, local| Subject::NodeRole(NodeRole { deployment, local, attempt });
    match (deployment, local) {
        (Some(deployment), None) => Ok(Subject::Deployment(deployment)),
        (Some(deployment), Some(local)) => Ok(found(deployment, local)),
        (None, local) => {
            let local = local.unwrap_or_default();
            let deployment = find(client, &local).await?;
            Ok(found(deployment, local))
        }
    }
}

/// A node-role, and nothing else.
pub async fn node_role(client: &Client, text: &str) -> Result<NodeRole, Failure> {
    match resolve(client, text).await? {
        Subject::NodeRole(it) => Ok(it),
        Subject::Deployment(name) => {
            Err(Failure::new(Trouble::Argument, format!("`{name}` names a deployment, not a node-role"))
                .fix(format!("rebar status {name} -o wide lists its node-roles")))
        }
    }
}

/// The deployment that has a node-role.
async fn find(client: &Client, local: &str) -> Result<DeploymentName, Failure> {
    let deployments = client.deployments().await?;
    let target = local.split_once('@').map_or("", |(_, target)| target);
    if let Some(named) = deployments.iter().find(|it| it.name.as_str() == target) {
        return Ok(named.name.clone());
    }
    let mut found = Vec::new();
    for deployment in &deployments {
        let status = client.status(&deployment.name).await?;
        if status.node_roles.iter().any(|it| it.address == local) {
            found.push(deployment.name.clone());
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::new(Trouble::Nothing, format!("no deployment has a node-role `{local}`"))
            .fix("rebar status DEPLOYMENT -o wide lists its node-roles")),
        several => {
            let all: Vec<String> = several.iter().map(|it| format!("{it}/{local}")).collect();
            Err(Failure::new(Trouble::Argument, format!("`{local}` could be any of {}; say which", all.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood() {
        let check = |text: &str, deployment: Option<&str>, local: Option<&str>, attempt: Option<u32>| {
            let written = parse(text).unwrap();
            assert_eq!(written.deployment.as_ref().map(DeploymentName::as_str), deployment, "{text}");
            assert_eq!(written.local.as_deref(), local, "{text}");
            assert_eq!(written.attempt, attempt, "{text}");
        };
        check("demo", Some("demo"), None, None);
        check("web@n1", None, Some("web@n1"), None);
        check("demo/web@n1#3", Some("demo"), Some("web@n1"), Some(3));
        check("demo/dns", Some("demo"), Some("dns"), None);
        for bad in ["", "Demo", "demo/", "web@n1#x", "demo#1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
