//! What the API says and hears, one noun a file: plain data with serde, shared with clients. Types of the model appear as they
//! serialize; the types here exist where people need something computed, or secrets masked.

mod agent;
mod attempt;
mod breaker;
mod deployment;
mod event;
mod explain;
mod node;
mod origin;
mod output;
mod page;
mod parameter;
mod plan;
mod problem;
mod service;
mod status;
mod token;
mod version;
mod wait;
mod workload;

pub use agent::{AgentBuildView, AgentReleaseView, AgentStanding, AgentView, ImportRelease, StartUpgrade, UpgradeView};
pub use attempt::{AttemptInput, AttemptResult, AttemptView, AttemptsQuery, LogLine, LogQuery};
pub use breaker::{BreakerView, ResetRequest, TripRequest};
pub use deployment::{
    Accepted, ChangeDeployment, CreateDeployment, DeploymentSummary, DeploymentView, DiffQuery, GroupChange,
    ParameterChange, PauseRequest, ProfilesChange, RetryRequest, RevisionDiff, RevisionView, WipeRequest,
    WorkloadChange, WorkloadRef,
};
pub use event::{EventView, EventsQuery};
pub use explain::{Cause, ExplainQuery, ExplainView};
pub use node::{
    AddNodeRequest, AddedNodeView, ChangeNode, EnrolmentView, MaintenanceRequest, NodeStanding, NodeView, NodesQuery,
    RemoveNodeQuery,
};
pub use origin::{ValueLayer, ValueOrigin, ValueProducer, WhyQuery};
pub use output::{OutputView, OutputsQuery};
pub use page::{Page, PageQuery};
pub use parameter::{ParameterView, ParametersQuery, SetParameter};
pub use plan::{ApplyRequest, PlanStepView, PlanView, TowardsRequest};
pub use problem::{Problem, ProblemItem};
pub use service::{ServiceName, ServiceView};
pub use status::{DeploymentStatus, NodeRoleView, ProgressView};
pub use token::{CreateToken, CreatedToken, TokenView};
pub use version::VersionView;
pub use wait::{WaitAnswer, WaitGoal, WaitQuery, WaitResult};
pub use workload::{UsedWorkload, WorkloadSummary, WorkloadView};
