//! Secrets on their way in: sealed before they become part of a command, also where a person forgot to say that they are secrets.

use rebar_model::{Ident, ParameterScope, ParameterSpec, Source, Workload, World};
use rebar_orchestrator::Handle;
use serde_json::Value;

use crate::{error::ApiError, mask::refuse_references};

/// Whether a workload that may see the parameter declares it as a secret.
pub(crate) fn is_declared(world: &World, scope: &ParameterScope, name: &Ident) -> bool {
    let declares = |workload: &Workload| workload.spec.inputs.get(name).is_some_and(ParameterSpec::is_secret);
    match scope {
        ParameterScope::Deployment(deployment) => {
            let deployment = world.deployments().get(deployment);
            deployment.and_then(|it| world.workloads().get(&it.spec.workload)).is_some_and(|it| declares(it))
        }
        ParameterScope::Global => world.workloads().values().any(|it| declares(it) || takes(it, name)),
        ParameterScope::Profile(_) | ParameterScope::Node(_) => world.workloads().values().any(|it| declares(it)),
    }
}

/// Whether something of a workload takes a secret of the site by this name.
fn takes(workload: &Workload, name: &Ident) -> bool {
    let parameters = workload.spec.inputs.values().filter_map(|it| it.from.as_ref());
    let inputs = workload.roles.values().flat_map(|it| it.manifest.spec.inputs.values());
    parameters
        .chain(inputs.filter_map(|it| it.from.as_ref()))
        .any(|it| matches!(it, Source::Secret(secret) if secret == name))
}

/// A value as it may be remembered: a secret as its reference.
pub(crate) async fn keep(handle: &Handle, value: Value, secret: bool) -> Result<Value, ApiError> {
    refuse_references(&value)?;
    if secret { Ok(handle.seal(&value).await?) } else { Ok(value) }
}
