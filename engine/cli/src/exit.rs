//! The exit codes of `rebar`: one enum, one meaning each, for scripts to rely on. Which error ends in which code is decided in
//! `failure.rs`.

use std::process::ExitCode;

/// How `rebar` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something that nobody foresaw.
    Unexpected = 1,
    /// The command line is wrong.
    Usage = 2,
    /// `plan --exit-code` found changes.
    Changes = 3,
    /// Not logged in, or not allowed.
    Denied = 4,
    /// There is no such thing, or nothing was selected.
    NotFound = 5,
    /// The world moved on.
    Conflict = 6,
    /// What was given is wrong.
    Invalid = 7,
    /// Some node-roles failed.
    Failed = 8,
    /// A person has to act.
    NeedsPerson = 9,
    /// Waiting took too long.
    TimedOut = 10,
    /// The engine does not answer.
    Unreachable = 11,
    /// The goal cannot be reached any more.
    GoalLost = 12,
    /// A person went away; the work goes on.
    Detached = 130,
}

impl Exit {
    /// All of them, in order.
    pub const ALL: [Self; 14] = [
        Self::Done,
        Self::Unexpected,
        Self::Usage,
        Self::Changes,
        Self::Denied,
        Self::NotFound,
        Self::Conflict,
        Self::Invalid,
        Self::Failed,
        Self::NeedsPerson,
        Self::TimedOut,
        Self::Unreachable,
        Self::GoalLost,
        Self::Detached,
    ];

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, goal reached",
            Self::Unexpected => "unexpected error",
            Self::Usage => "usage error: the command line is wrong",
            Self::Changes => "plan --exit-code: changes exist",
            Self::Denied => "not authenticated, or not allowed",
            Self::NotFound => "not found, or nothing was selected",
            Self::Conflict => "conflict: stale plan, changed meanwhile, in use, exists already",
            Self::Invalid => "validation failed: lint, schema, a plan with mistakes",
            Self::Failed => "the work ended, and some node-roles failed",
            Self::NeedsPerson => "stopped, waiting for a person: blocked, paused, or a breaker open",
            Self::TimedOut => "time-out while waiting; the work goes on",
            Self::Unreachable => "the engine cannot be reached",
            Self::GoalLost => "the goal became unreachable: `wait` fails fast",
            Self::Detached => "interrupted; detached, the work goes on",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|it| it.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 130]);
    }
}
