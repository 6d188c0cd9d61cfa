//! An engine, a machine whose agent is connected to it, and the short way to have it run a role.

use rebar_proto::v1::{AttemptResult, Dispatch, Failed, Phase, PhaseWork, Succeeded, attempt_result::Outcome};

use super::{
    agent::Agent,
    engine::Engine,
    role::{archive, dispatch, phase},
};

/// What an attempt that must have succeeded gave.
pub fn succeeded(result: &AttemptResult) -> &Succeeded {
    match result.outcome.as_ref().expect("an outcome") {
        Outcome::Succeeded(succeeded) => succeeded,
        Outcome::Failed(failed) => panic!("failed: {failed:?}"),
    }
}

/// Why an attempt that must have failed did.
pub fn failed(result: &AttemptResult) -> &Failed {
    match result.outcome.as_ref().expect("an outcome") {
        Outcome::Failed(failed) => failed,
        Outcome::Succeeded(succeeded) => panic!("succeeded: {succeeded:?}"),
    }
}

/// A machine whose agent is connected.
pub struct Setup {
    pub engine: Engine,
    pub agent: Agent,
}

impl Setup {
    pub async fn new() -> Self {
        let engine = Engine::start().await;
        let agent = Agent::running(&engine).await;
        Self { engine, agent }
    }

    /// An order for a role of these files with these phases.
    pub fn order(&self, attempt: u64, files: &[(&str, &str)], phases: Vec<PhaseWork>) -> Dispatch {
        let (digest, bytes) = archive(files);
        self.engine.content(&digest, bytes);
        dispatch(attempt, &digest, phases)
    }

    pub async fn run(&self, order: Dispatch) -> AttemptResult {
        let attempt = order.attempt;
        self.engine.dispatch(order).await;
        self.engine.result(attempt).await
    }

    /// An order for a role with this script as its apply phase.
    pub fn script(&self, attempt: u64, script: &str) -> Dispatch {
        self.order(attempt, &[("apply.sh", script)], vec![phase(Phase::Apply, "apply.sh")])
    }

    /// Runs a script as the apply phase.
    pub async fn apply(&self, attempt: u64, script: &str) -> AttemptResult {
        self.run(self.script(attempt, script)).await
    }
}
