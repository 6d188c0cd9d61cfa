//! The verbs of Rebar, pure: [`plan`] resolves a deployment into a graph, [`decide`] turns an input into changes and effects,
//! [`verdict`] says why something is not running, [`why`] where a value comes from. No I/O, no clock, no async: the World, the
//! input and the time are arguments.

mod attempt;
mod decide;
mod effect;
mod expr;
mod failure;
mod input;
pub mod invariants;
mod judge;
mod outputs;
mod plan;
mod protect;
mod refusal;
mod resolve;
mod resource;
mod step;
mod verdict;
mod why;

pub use attempt::{DEADLINE_SLACK, phases_of};
pub use decide::{
    breaker::{Bounds, bounds},
    decide,
};
pub use effect::{Decision, Effect};
pub use failure::{DEFAULT_RETRIES, back_off};
pub use input::{Command, Input, NodeRemoval, Towards, UpgradeWish};
pub use outputs::check_outputs;
pub use plan::{PlanError, parameter_value, plan, plan_towards, wishes};
pub use protect::protected;
pub use refusal::Refusal;
pub use step::{Progress, step};
pub use verdict::verdict;
pub use why::{Explanation, why};
