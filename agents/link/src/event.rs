//! What goes into the machine and what comes out of it. The rules that connect the two are in `machine`.

use rebar_proto::v1::{
    AgentMessage, AttemptResult, Dispatch, EngineMessage, LogChunk, Progress, Upgrade, UpgradeFailed,
};

/// Something has happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A stream to an engine is open; nothing has been said on it yet.
    Connected(Session),
    /// The stream has ended, for whatever reason.
    Disconnected,
    /// The engine said something.
    Engine(EngineMessage),
    /// Something happened on this machine.
    Local(Local),
}

/// What the agent says about itself at the start of a session.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// The agent's version.
    pub agent_version: String,
    /// Changes with every boot of the machine.
    pub boot_id: String,
    /// The machine's facts, one JSON object.
    pub facts_json: String,
    /// The last upgrade, if the agent did not go through with it.
    pub upgrade_failed: Option<UpgradeFailed>,
}

/// What happened on this machine.
#[derive(Debug, Clone)]
pub enum Local {
    /// The attempt is durable in the journal and runs.
    Started {
        /// The attempt.
        attempt: u64,
        /// When it was journalled, in milliseconds since 1970.
        at_ms: i64,
    },
    /// A piece of the log, read from where [`Output::ReadLog`] said.
    Log(LogChunk),
    /// All of the log of an ended attempt has been read.
    LogDrained {
        /// The attempt.
        attempt: u64,
    },
    /// An attempt has ended, and reading the rest of its log takes long: the result is to be said before it.
    LogTakesLong {
        /// The attempt.
        attempt: u64,
    },
    /// Nothing has been said for a while.
    Quiet,
    /// How far a running attempt is.
    Progress(Progress),
    /// The attempt has ended, or could not be started; its result is on disk.
    Finished(AttemptResult),
    /// New facts about the machine, one JSON object.
    Facts(String),
    /// The agent does not become the release that it was told to; said again at the start of every session.
    UpgradeFailed(UpgradeFailed),
}

/// Something must happen. Outputs are carried out in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Say this to the engine.
    Send(AgentMessage),
    /// Put the attempt into the journal, then run it, then report [`Local::Started`].
    Start(Box<Dispatch>),
    /// Make the result of an attempt that was never run durable, as those of attempts that were run are.
    Keep(Box<AttemptResult>),
    /// Become another release, if it is one to be trusted.
    Upgrade(Box<Upgrade>),
    /// End the attempt; its result comes as [`Local::Finished`] all the same.
    Kill {
        /// The attempt.
        attempt: u64,
    },
    /// Read the log from this offset, now and as it grows.
    ReadLog {
        /// The attempt.
        attempt: u64,
        /// Where to begin.
        from: u64,
    },
    /// Log bytes before this offset are no longer needed.
    TrimLog {
        /// The attempt.
        attempt: u64,
        /// The first byte that is still needed.
        before: u64,
    },
    /// The engine has everything: remove the attempt from the disk, but remember its number.
    Forget {
        /// The attempt.
        attempt: u64,
    },
    /// Make this epoch durable before anything that follows.
    RememberEpoch(u64),
    /// End the session.
    Disconnect(Refusal),
    /// Something was not obeyed; for the agent's own log.
    Refused(Refusal),
}

/// Why something was not obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An engine that has been replaced still talks.
    #[error("epoch {offered} is lower than {highest}, which this agent has obeyed")]
    LowerEpoch {
        /// What the engine said.
        offered: u64,
        /// What the agent holds.
        highest: u64,
    },
    /// The engine gave orders before it said who it is.
    #[error("the engine spoke before its welcome")]
    NotWelcomed,
    /// The attempt has been run, and the engine has acknowledged its end.
    #[error("attempt {attempt} ended and was acknowledged before")]
    AlreadyForgotten {
        /// The attempt.
        attempt: u64,
    },
    /// An acknowledgement of a result that does not exist yet.
    #[error("attempt {attempt} has not ended")]
    NotFinished {
        /// The attempt.
        attempt: u64,
    },
    /// The message had no content that this agent knows.
    #[error("the engine's message is empty or newer than this agent")]
    UnknownMessage,
}

/// What the disk holds when the agent starts.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// The highest epoch obeyed.
    pub epoch: u64,
    /// The attempts in the journal.
    pub attempts: Vec<RecoveredAttempt>,
    /// Attempts whose end the engine has acknowledged, oldest first.
    pub forgotten: Vec<u64>,
}

/// One attempt from the journal.
#[derive(Debug, Clone)]
pub struct RecoveredAttempt {
    /// The attempt.
    pub attempt: u64,
    /// Which node-role it belongs to.
    pub node_role: String,
    /// Where the log that is still on disk begins.
    pub log_from: u64,
    /// How far it is.
    pub state: RecoveredState,
}

/// How far an attempt from the journal is.
#[derive(Debug, Clone)]
pub enum RecoveredState {
    /// It runs, or will be run from the journal.
    Running {
        /// When it was journalled, in milliseconds since 1970.
        at_ms: i64,
    },
    /// It has ended.
    Finished(AttemptResult),
}
