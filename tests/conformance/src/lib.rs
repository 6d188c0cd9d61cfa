//! One suite for every store. The cases are in `cases/`, each against the ports alone; the backends that they run against are
//! in `backend.rs`; `generate.rs` makes random histories. `postgres.rs` starts a real PostgreSQL,
//! `small_disk.rs` makes small disks, `disk/` one whose power can be cut; all three serve other tests too.

pub mod backend;
mod cases;
pub mod crash;
pub mod disk;
pub mod generate;
pub mod postgres;
pub mod small_disk;
mod suite;

pub use cases::backup::carried_over;
pub use suite::{Subject, run};
