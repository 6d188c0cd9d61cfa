//! Secrets on their way in: sealed before they become part of a command, also where a person forgot to say that they are secrets.

use rebar_model::{Ident, ParameterScope, Workload, World};
use rebar_orchestrator::Handle;
use serde_json::Value;

use crate::{error::ApiError, mask::refuse_references};

/// Whether a workload that may see the parameter declares it as a secret.
pub(crate) fn is_declared(world: &World, scope: &ParameterScope, name: &Ident) -> bool {
    let declares = |workload: &Workload| workload.spec.inputs.get(name).is_some_and(|it| it.secret);
    match scope {
        ParameterScope::Deployment(deployment) => {
            let deployment = world.deployments().get(deployment);
            deployment.and_then(|it| world.workloads().get(&it.spec.workload)).is_some_and(|it| declares(it))
        }
        _ => world.workloads().values().any(|it| declares(it)),
    }
}

/// A value as it may be remembered: a secret as its reference.
pub(crate) async fn keep(handle: &Handle, value: Value, secret: bool) -> Result<Value, ApiError> {
    refuse_references(&value)?;
    if secret { Ok(handle.seal(&value).await?) } else { Ok(value) }
}
