//! What a command ends with when it does not do what it was asked: one record, whether the engine refused or the client itself
//! gave up. Drawing it is `screen/failure.rs`.

use std::io;

use rebar_api::types::{Problem, ProblemItem};

use crate::exit::Exit;

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// The number of its page, where it has one.
    pub code: Option<String>,
    /// What happened.
    pub message: String,
    /// The single mistakes, where there are several.
    pub items: Vec<ProblemItem>,
    /// What to do.
    pub fix: Option<String>,
}

/// What the client itself can run into; the pages are in `docs/errors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No engine is named anywhere.
    NoContext,
    /// The engine does not answer.
    Unreachable,
    /// The engine's certificate is not of the pinned CA.
    Untrusted,
    /// The engine's answer is not understood.
    Strange,
    /// The client's own file cannot be read or written.
    Config,
    /// A file or folder that was named cannot be read or written.
    File,
    /// A value on the command line makes no sense.
    Argument,
    /// There is no such thing.
    Nothing,
    /// A person has to confirm.
    Unconfirmed,
    /// The world stands otherwise than the command needs.
    Unfit,
}

impl Trouble {
    /// All of them.
    #[cfg(test)]
    pub const ALL: [Self; 10] = [
        Self::NoContext,
        Self::Unreachable,
        Self::Untrusted,
        Self::Strange,
        Self::Config,
        Self::File,
        Self::Argument,
        Self::Nothing,
        Self::Unconfirmed,
        Self::Unfit,
    ];

    /// The number of its page.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoContext => "RB8001",
            Self::Unreachable => "RB8002",
            Self::Untrusted => "RB8003",
            Self::Strange => "RB8004",
            Self::Config => "RB8005",
            Self::File => "RB8006",
            Self::Argument => "RB8007",
            Self::Nothing => "RB8008",
            Self::Unconfirmed => "RB8009",
            Self::Unfit => "RB8010",
        }
    }

    /// How the program ends.
    pub fn exit(self) -> Exit {
        match self {
            Self::NoContext | Self::Untrusted => Exit::Denied,
            Self::Unreachable => Exit::Unreachable,
            Self::Strange | Self::Config => Exit::Unexpected,
            Self::File | Self::Nothing => Exit::NotFound,
            Self::Argument | Self::Unconfirmed => Exit::Usage,
            Self::Unfit => Exit::Conflict,
        }
    }
}

impl Failure {
    /// Something that the client itself ran into.
    pub fn new(trouble: Trouble, message: impl Into<String>) -> Self {
        Self {
            exit: trouble.exit(),
            code: Some(trouble.code().to_owned()),
            message: message.into(),
            items: Vec::new(),
            fix: None,
        }
    }

    /// Something without a page.
    pub fn plain(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, code: None, message: message.into(), items: Vec::new(), fix: None }
    }

    /// With what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Whether trying again later may help: the engine is away, or is being restarted.
    pub fn is_passing(&self) -> bool {
        self.exit == Exit::Unreachable
    }

    /// Whether nobody reads what is written any more, which is no failure.
    pub fn is_silent(&self) -> bool {
        self.exit == Exit::Done
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let message = if problem.detail.is_empty() { problem.title } else { problem.detail };
        Self {
            exit: exit_of(problem.status, &problem.code),
            code: (!problem.code.is_empty()).then_some(problem.code),
            message,
            items: problem.errors,
            fix: problem.hint,
        }
    }
}

/// The exit code for a refusal of the engine.
fn exit_of(status: u16, code: &str) -> Exit {
    match (status, code) {
        // Nothing has failed: a selection that matches nothing.
        (_, "RB2008") => Exit::NotFound,
        // A plan with mistakes is a mistake of what was given, whatever the engine's state.
        (_, "RB2004") => Exit::Invalid,
        (401 | 403, _) => Exit::Denied,
        (404 | 410, _) => Exit::NotFound,
        (409 | 412 | 428, _) => Exit::Conflict,
        (400 | 405 | 406 | 413 | 415 | 422, _) => Exit::Invalid,
        // The engine answered, and says that it took too long; or what it asked of a provider went wrong.
        (504, "RB4008") => Exit::TimedOut,
        (502, "RB4014") => Exit::Unexpected,
        (502..=504, _) => Exit::Unreachable,
        _ => Exit::Unexpected,
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Whoever read the output has seen enough.
            io::ErrorKind::BrokenPipe => Self::plain(Exit::Done, ""),
            _ => Self::plain(Exit::Unexpected, error.to_string()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => failure,
            Err(error) => Self::plain(Exit::Unexpected, format!("{error:#}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, code: &str) -> Failure {
        Problem { status, code: code.to_owned(), detail: "x".to_owned(), ..Problem::default() }.into()
    }

    #[test]
    fn refusals_end_in_the_documented_codes() {
        let cases = [
            (401, "RB4001", Exit::Denied),
            (404, "RB2001", Exit::NotFound),
            (409, "RB2003", Exit::Conflict),
            (412, "RB2005", Exit::Conflict),
            (422, "RB2004", Exit::Invalid),
            (409, "RB2004", Exit::Invalid),
            (409, "RB2008", Exit::NotFound),
            (503, "", Exit::Unreachable),
            (500, "", Exit::Unexpected),
        ];
        for (status, code, exit) in cases {
            assert_eq!(problem(status, code).exit, exit, "{status} {code}");
        }
    }

    #[test]
    fn a_reader_who_went_away_is_no_failure() {
        assert!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).is_silent());
    }
}
