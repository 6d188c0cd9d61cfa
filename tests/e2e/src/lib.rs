//! A house for tests of the real binaries: an engine with its own directory and ports, agents as processes on the loopback, and the
//! command line as the only way to talk to it. Everything that a house started ends with it.

mod house;
mod link;
mod page;
mod run;
mod wait;

pub use house::{AgentProcess, Database, House};
pub use link::{Line, Quality};
pub use page::{Block, blocks};
pub use run::{Done, bin, root};
pub use wait::{eventually, eventually_within};
