//! What the agent keeps on disk: where it lies, how it is made durable, and what is found again after a restart.

pub mod budget;
pub mod content;
pub mod durable;
pub mod journal;
pub mod layout;
pub mod spool;
pub mod status;
