//! A house for tests of the real binaries: an engine with its own directory and ports, agents as processes on the loopback or on a
//! network that the test made, and the command line as the only way to talk to it; and storms to send over it. Everything that a
//! house started ends with it.

mod agent;
mod house;
mod network;
mod page;
mod run;
mod storm;
mod wait;
mod wire;

pub use agent::AgentProcess;
pub use house::{Database, House};
pub use network::{Network, Port, Weather};
pub use page::{Block, blocks};
pub use run::{Done, bin, root};
pub use storm::{Storm, seed};
pub use wait::{eventually, eventually_within};
pub use wire::{Line, Wire};
