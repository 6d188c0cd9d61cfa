//! Releases of the agent on this machine: which one runs, whether one is to be trusted, where they lie, and how one takes the place
//! of another. A machine has the program that it was installed with, and those that it became since; the name `release` in the
//! state leads to the one that it is.
//!
//! ```text
//!   order ─▶ stage (fetch, verify, does it run?) ─▶ record: trying ─▶ trial: the old one is the parent, and watches
//!                │ no                                                   │ ended, or not welcomed      │ welcomed, and stayed
//!                ▼                                                      ▼                             ▼
//!          record: refused                                     record: rolled back         `release` leads to it; become it
//! ```

pub mod boot;
pub mod life;
pub mod record;
pub mod shelf;
pub mod stage;
pub mod statement;
pub mod trial;
pub mod trust;

use std::sync::LazyLock;

/// Says to a program that it is on trial.
pub const ON_TRIAL: &str = "REBAR_AGENT_TRIAL";
/// What a program on trial says on its standard output when an engine has welcomed it: the one word that every release has to know.
pub const WELCOMED: &str = "welcomed";

/// The version of this program: that of its release, or the one that it was built as where it is none.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let of_release = shelf::running().map(|it| it.statement.version);
        of_release.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned())
    });
    &VERSION
}

/// Whether this program is on trial.
pub fn is_on_trial() -> bool {
    std::env::var_os(ON_TRIAL).is_some()
}
