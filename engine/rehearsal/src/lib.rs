//! Rehearsals: the real model, planner, scheduler and orchestrator, on simulated nodes, services and time, with injected faults and
//! before a real machine is touched. Everything that happens follows from a [`Scenario`] and its seed. What is drawn of it is the
//! command line's business.

mod agent;
mod chance;
mod clock;
mod duration;
mod error;
mod fault;
mod fleet;
mod limits;
mod path;
mod pattern;
mod rehearsal;
mod report;
mod sample;
mod scenario;
mod service;
mod size;
mod stage;
mod tally;

pub use duration::{Basis, Durations, Estimate, quantile};
pub use error::{RehearsalError, Unmade};
pub use fault::{Amount, End, Fault, FaultKind};
pub use limits::{MAX_LENGTH, MAX_NODES};
pub use path::{Link, Step};
pub use rehearsal::Rehearsal;
pub use report::{FaultReport, Report, RoleReport, Totals, Width};
pub use scenario::{Scenario, Setting, SimulatedNode, facts};
pub use size::{Size, sizes};
