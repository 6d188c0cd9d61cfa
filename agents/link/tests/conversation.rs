//! Random conversations with an engine, a disk and processes that are models: what holds in all of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rebar_link::{
    Input, Link, Local, MAX_FORGOTTEN, MAX_TAILS, Output, Recovered, RecoveredAttempt, RecoveredState, Session,
};
use rebar_proto::v1::{
    AgentMessage, AttemptResult, Cancel, Dispatch, EngineMessage, LogAck, LogChunk, Ping, ResultAck, Upgrade,
    UpgradeFailed, Welcome, agent_message::Body, engine_message,
};

const ATTEMPTS: u64 = 6;

#[derive(Debug, Clone)]
enum Step {
    Connect,
    Welcome {
        behind: u64,
    },
    Disconnect,
    Dispatch {
        attempt: u64,
        behind: u64,
    },
    Cancel {
        attempt: u64,
    },
    /// The agent gets around to a start.
    Begin,
    Write {
        attempt: u64,
        bytes: u64,
    },
    /// The process of an attempt ends.
    End {
        attempt: u64,
    },
    /// The agent reads some of a log.
    Read {
        attempt: u64,
        bytes: u64,
    },
    /// The log of an ended attempt takes long to read.
    Hurry {
        attempt: u64,
    },
    AckResult {
        attempt: u64,
    },
    AckLog {
        attempt: u64,
    },
    Ping,
    /// The engine orders another release.
    Upgrade {
        behind: u64,
    },
    /// A new engine takes over.
    TakeOver,
    /// The agent is killed and started again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let attempt = 1..=ATTEMPTS;
    prop_oneof![
        2 => Just(Step::Connect),
        3 => (0..2_u64).prop_map(|behind| Step::Welcome { behind }),
        1 => Just(Step::Disconnect),
        5 => (attempt.clone(), 0..4_u64).prop_map(|(attempt, late)| Step::Dispatch { attempt, behind: u64::from(late == 3) }),
        1 => attempt.clone().prop_map(|attempt| Step::Cancel { attempt }),
        4 => Just(Step::Begin),
        3 => (attempt.clone(), 1..50_u64).prop_map(|(attempt, bytes)| Step::Write { attempt, bytes }),
        3 => attempt.clone().prop_map(|attempt| Step::End { attempt }),
        5 => (attempt.clone(), 1..70_u64).prop_map(|(attempt, bytes)| Step::Read { attempt, bytes }),
        1 => attempt.clone().prop_map(|attempt| Step::Hurry { attempt }),
        3 => attempt.clone().prop_map(|attempt| Step::AckResult { attempt }),
        3 => attempt.prop_map(|attempt| Step::AckLog { attempt }),
        1 => Just(Step::Ping),
        1 => (0..2_u64).prop_map(|behind| Step::Upgrade { behind }),
        1 => Just(Step::TakeOver),
        1 => Just(Step::Restart),
    ]
}

/// What is on the agent's disk about an attempt.
#[derive(Debug, Clone, Default)]
struct OnDisk {
    node_role: String,
    log_end: u64,
    trimmed: u64,
    result: Option<AttemptResult>,
}

#[derive(Default)]
struct World {
    link: Link,
    // The machine.
    disk: BTreeMap<u64, OnDisk>,
    epoch_on_disk: u64,
    forgotten_on_disk: Vec<u64>,
    to_start: Vec<Dispatch>,
    running: BTreeSet<u64>,
    readers: BTreeMap<u64, u64>,
    runs: BTreeMap<u64, u32>,
    connected: bool,
    // The engine.
    epoch: u64,
    greeted_with: u64,
    received: BTreeMap<u64, u64>,
    results: BTreeMap<u64, AttemptResult>,
    hurried: BTreeSet<u64>,
    acked_results: BTreeSet<u64>,
    acked_logs: BTreeMap<u64, u64>,
}

fn node_role(attempt: u64) -> String {
    format!("demo/role-{}@node-1", attempt % 2)
}

impl World {
    fn new() -> Self {
        Self { epoch: 1, ..Self::default() }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Connect => self.connect(),
            Step::Welcome { behind } => {
                let epoch = self.epoch.saturating_sub(behind);
                self.engine(engine_message::Body::Welcome(Welcome { epoch, node: "node-1".to_owned() }));
            }
            Step::Disconnect => self.disconnect(),
            Step::Dispatch { attempt, behind } => {
                let epoch = self.epoch.saturating_sub(behind);
                let dispatch = Dispatch { attempt, epoch, node_role: node_role(attempt), ..Dispatch::default() };
                self.engine(engine_message::Body::Dispatch(dispatch));
            }
            Step::Cancel { attempt } => {
                self.engine(engine_message::Body::Cancel(Cancel { attempt, epoch: self.epoch }));
            }
            Step::Begin => self.begin(),
            Step::Write { attempt, bytes } => {
                if self.running.contains(&attempt) {
                    self.disk.get_mut(&attempt).expect("on disk").log_end += bytes;
                }
            }
            Step::End { attempt } => self.end(attempt),
            Step::Read { attempt, bytes } => self.read(attempt, bytes),
            Step::Hurry { attempt } => {
                self.hurried.insert(attempt);
                self.input(Input::Local(Local::LogTakesLong { attempt }));
            }
            Step::AckResult { attempt } => {
                if self.results.contains_key(&attempt) && self.connected {
                    self.acked_results.insert(attempt);
                    self.engine(engine_message::Body::ResultAck(ResultAck { attempt }));
                }
            }
            Step::AckLog { attempt } => {
                let offset = self.received.get(&attempt).copied().unwrap_or(0);
                if self.connected {
                    self.acked_logs.insert(attempt, offset);
                    self.engine(engine_message::Body::LogAck(LogAck { attempt, offset }));
                }
            }
            Step::Ping => self.engine(engine_message::Body::Ping(Ping {})),
            Step::Upgrade { behind } => {
                let epoch = self.epoch.saturating_sub(behind);
                self.engine(engine_message::Body::Upgrade(Upgrade { epoch, ..Upgrade::default() }));
            }
            Step::TakeOver => {
                self.disconnect();
                self.epoch += 1;
            }
            Step::Restart => self.restart(),
        }
    }

    fn connect(&mut self) {
        if !self.connected {
            self.connected = true;
            self.input(Input::Connected(Session::default()));
        }
    }

    fn disconnect(&mut self) {
        if self.connected {
            self.connected = false;
            self.readers.clear();
            self.input(Input::Disconnected);
        }
    }

    fn engine(&mut self, body: engine_message::Body) {
        if self.connected {
            self.input(Input::Engine(EngineMessage { body: Some(body) }));
        }
    }

    fn begin(&mut self) {
        let Some(dispatch) = self.to_start.pop() else { return };
        let attempt = dispatch.attempt;
        let rival = self.running.iter().find(|rival| node_role(**rival) == dispatch.node_role);
        assert_eq!(rival, None, "two attempts of one node-role at once");
        *self.runs.entry(attempt).or_default() += 1;
        assert_eq!(self.runs[&attempt], 1, "attempt {attempt} was run twice");
        self.running.insert(attempt);
        self.disk.insert(attempt, OnDisk { node_role: dispatch.node_role, ..OnDisk::default() });
        self.input(Input::Local(Local::Started { attempt, at_ms: 1 }));
    }

    fn end(&mut self, attempt: u64) {
        if self.running.remove(&attempt) {
            let on_disk = self.disk.get_mut(&attempt).expect("on disk");
            let result = AttemptResult { attempt, log_bytes: on_disk.log_end, ..AttemptResult::default() };
            on_disk.result = Some(result.clone());
            self.input(Input::Local(Local::Finished(result)));
        }
    }

    fn read(&mut self, attempt: u64, bytes: u64) {
        let Some(from) = self.readers.get(&attempt).copied() else { return };
        let Some(on_disk) = self.disk.get(&attempt) else {
            self.readers.remove(&attempt);
            self.input(Input::Local(Local::LogDrained { attempt }));
            return;
        };
        assert!(from >= on_disk.trimmed, "asked for a log that was trimmed");
        let length = bytes.min(on_disk.log_end.saturating_sub(from));
        if length > 0 {
            self.readers.insert(attempt, from + length);
            let data = vec![b'x'; usize::try_from(length).expect("small")];
            self.input(Input::Local(Local::Log(LogChunk { attempt, offset: from, data, ..LogChunk::default() })));
        } else if on_disk.result.is_some() {
            self.readers.remove(&attempt);
            self.input(Input::Local(Local::LogDrained { attempt }));
        }
    }

    fn restart(&mut self) {
        self.connected = false;
        self.readers.clear();
        self.to_start.clear();
        let attempts = self.disk.iter().map(|(attempt, on_disk)| RecoveredAttempt {
            attempt: *attempt,
            node_role: on_disk.node_role.clone(),
            log_from: on_disk.trimmed,
            state: match &on_disk.result {
                Some(result) => RecoveredState::Finished(result.clone()),
                None => RecoveredState::Running { at_ms: 1 },
            },
        });
        self.link = Link::recover(Recovered {
            epoch: self.epoch_on_disk,
            attempts: attempts.collect(),
            forgotten: self.forgotten_on_disk.clone(),
        });
    }

    fn input(&mut self, input: Input) {
        for output in self.link.handle(input) {
            self.check(output);
        }
    }

    fn check(&mut self, output: Output) {
        match output {
            Output::Send(message) => self.hear(message),
            Output::Start(dispatch) => {
                assert!(dispatch.epoch >= self.epoch_on_disk, "an order of the past was obeyed");
                assert_eq!(self.runs.get(&dispatch.attempt), None, "an attempt that was run is to be started");
                self.to_start.push(*dispatch);
            }
            Output::Keep(result) => {
                assert_eq!(self.runs.get(&result.attempt), None, "a result for an attempt that was run");
                self.disk.insert(result.attempt, OnDisk { result: Some(*result), ..OnDisk::default() });
            }
            Output::Upgrade(order) => {
                assert!(order.epoch >= self.epoch_on_disk, "an order of the past was obeyed");
                self.input(Input::Local(Local::UpgradeFailed(UpgradeFailed::default())));
            }
            Output::Kill { attempt } => {
                if let Some(index) = self.to_start.iter().position(|dispatch| dispatch.attempt == attempt) {
                    self.to_start.remove(index);
                    self.input(Input::Local(Local::Finished(AttemptResult { attempt, ..AttemptResult::default() })));
                } else {
                    assert!(self.running.contains(&attempt), "nothing to kill");
                    self.end(attempt);
                }
            }
            Output::ReadLog { attempt, from } => {
                self.readers.insert(attempt, from);
            }
            Output::TrimLog { attempt, before } => {
                assert!(before <= self.acked_logs[&attempt], "trimmed what the engine does not have");
                if let Some(on_disk) = self.disk.get_mut(&attempt) {
                    on_disk.trimmed = before.min(on_disk.log_end);
                }
            }
            Output::Forget { attempt } => {
                assert!(self.acked_results.contains(&attempt), "forgot a result");
                if let Some(on_disk) = self.disk.remove(&attempt) {
                    let acked = self.acked_logs.get(&attempt).copied().unwrap_or(0);
                    assert!(acked >= on_disk.log_end, "forgot a log");
                }
                self.readers.remove(&attempt);
                self.forgotten_on_disk = self.link.forgotten().collect();
            }
            Output::RememberEpoch(epoch) => {
                assert!(epoch > self.epoch_on_disk, "the epoch went back");
                self.epoch_on_disk = epoch;
            }
            Output::Disconnect(_) => self.disconnect(),
            Output::Refused(_) => {}
        }
    }

    fn hear(&mut self, message: AgentMessage) {
        assert!(self.connected, "said to nobody");
        match message.body.expect("a body") {
            Body::Hello(hello) => {
                assert!(hello.epoch >= self.greeted_with, "the epoch went back");
                self.greeted_with = hello.epoch;
                for attempt in self.disk.keys() {
                    let is_held = hello.held.iter().any(|held| held.attempt == *attempt);
                    assert!(is_held || self.acked_results.contains(attempt), "a held attempt is not said");
                }
            }
            Body::Log(chunk) => {
                let received = self.received.entry(chunk.attempt).or_default();
                assert!(chunk.offset <= *received, "a gap in the log");
                *received = (*received).max(chunk.offset + chunk.data.len() as u64);
            }
            Body::Result(result) => {
                let received = self.received.get(&result.attempt).copied().unwrap_or(0);
                let is_in_order = received >= result.log_bytes || self.hurried.contains(&result.attempt);
                assert!(is_in_order, "the end came before the story");
                let before = self.results.insert(result.attempt, result.clone());
                assert!(before.is_none_or(|before| before == result), "two results");
            }
            _ => {}
        }
    }

    /// Everything ends well: the engine listens and acknowledges, processes end.
    fn settle(&mut self) {
        self.take(Step::TakeOver);
        self.connect();
        self.take(Step::Welcome { behind: 0 });
        for _ in 0..100 {
            self.begin();
            for attempt in 1..=ATTEMPTS {
                self.end(attempt);
                self.read(attempt, 1000);
                self.take(Step::AckLog { attempt });
                self.take(Step::AckResult { attempt });
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_runs_twice_and_nothing_is_lost(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.settle();
        prop_assert!(world.disk.is_empty(), "not delivered: {:?}", world.disk);
        prop_assert!(world.to_start.is_empty() && world.running.is_empty());
        for attempt in world.runs.keys() {
            prop_assert!(world.results.contains_key(attempt), "the result of {} is lost", attempt);
        }
    }
}

/// An engine that has the results of so many attempts, and of their logs nothing.
fn with_tails(count: u64) -> (Link, Vec<Output>) {
    let mut link = Link::default();
    let engine = |body| Input::Engine(EngineMessage { body: Some(body) });
    link.handle(Input::Connected(Session::default()));
    link.handle(engine(engine_message::Body::Welcome(Welcome { epoch: 1, node: "node-1".to_owned() })));
    let mut last = Vec::new();
    for attempt in 1..=count {
        let node_role = format!("demo/role-{attempt}@node-1");
        let dispatch = Dispatch { attempt, epoch: 1, node_role, ..Dispatch::default() };
        link.handle(engine(engine_message::Body::Dispatch(dispatch)));
        link.handle(Input::Local(Local::Started { attempt, at_ms: 1 }));
        let result = AttemptResult { attempt, log_bytes: 1_000, ..AttemptResult::default() };
        link.handle(Input::Local(Local::Finished(result)));
        let said = link.handle(Input::Local(Local::LogTakesLong { attempt }));
        assert!(matches!(said.as_slice(), [Output::Send(_)]), "the result is said before its log: {said:?}");
        last = link.handle(engine(engine_message::Body::ResultAck(ResultAck { attempt })));
    }
    (link, last)
}

#[test]
fn logs_that_are_never_acknowledged_are_given_up_and_say_so() {
    let most = u64::try_from(MAX_TAILS).expect("small");
    assert_eq!(with_tails(most).1, []);
    let (_, last) = with_tails(most + 1);
    let [Output::Send(AgentMessage { body: Some(Body::Log(chunk)) }), Output::Forget { attempt: 1 }] = last.as_slice()
    else {
        panic!("{last:?}");
    };
    assert_eq!(chunk.offset + chunk.data.len() as u64, 1_000);
    assert_eq!(chunk.lost, chunk.offset);
    assert!(String::from_utf8_lossy(&chunk.data).contains("given up"));
}

#[test]
fn what_a_power_cut_took_of_a_log_is_said_to_be_missing_and_not_waited_for() {
    let result = AttemptResult { attempt: 1, log_bytes: 1_000, ..AttemptResult::default() };
    let state = RecoveredState::Finished(result);
    let held = RecoveredAttempt { attempt: 1, node_role: "demo/a@n1".to_owned(), log_from: 10, state };
    let mut link = Link::recover(Recovered { epoch: 1, attempts: vec![held], forgotten: Vec::new() });
    let engine = |body| Input::Engine(EngineMessage { body: Some(body) });
    link.handle(Input::Connected(Session::default()));
    link.handle(engine(engine_message::Body::Welcome(Welcome { epoch: 1, node: "node-1".to_owned() })));
    let said = link.handle(Input::Local(Local::LogDrained { attempt: 1 }));
    let [
        Output::Send(AgentMessage { body: Some(Body::Log(chunk)) }),
        Output::Send(AgentMessage { body: Some(Body::Result(_)) }),
    ] = said.as_slice()
    else {
        panic!("{said:?}");
    };
    assert_eq!((chunk.offset + chunk.data.len() as u64, chunk.offset - chunk.lost), (1_000, 10));
    let acknowledged = engine_message::Body::ResultAck(ResultAck { attempt: 1 });
    assert_eq!(link.handle(engine(acknowledged)), [], "the engine has to have that as well");
    let durable = engine_message::Body::LogAck(LogAck { attempt: 1, offset: 1_000 });
    assert_eq!(link.handle(engine(durable)), [Output::Forget { attempt: 1 }]);
}

#[test]
fn who_is_quiet_says_that_it_is_there() {
    let mut link = Link::default();
    assert_eq!(link.handle(Input::Local(Local::Quiet)), []);
    link.handle(Input::Connected(Session::default()));
    let said = link.handle(Input::Local(Local::Quiet));
    assert!(matches!(said.as_slice(), [Output::Send(AgentMessage { body: Some(Body::Heartbeat(_)) })]), "{said:?}");
}

#[test]
fn so_many_attempts_are_remembered_when_they_are_over() {
    let most = u64::try_from(MAX_FORGOTTEN).expect("small");
    let mut link = Link::recover(Recovered { epoch: 1, attempts: Vec::new(), forgotten: (1..=most).collect() });
    let engine = |body| Input::Engine(EngineMessage { body: Some(body) });
    link.handle(Input::Connected(Session::default()));
    link.handle(engine(engine_message::Body::Welcome(Welcome { epoch: 1, node: "node-1".to_owned() })));
    let dispatch =
        |attempt| engine(engine_message::Body::Dispatch(Dispatch { attempt, epoch: 1, ..Dispatch::default() }));
    assert!(matches!(link.handle(dispatch(1)).as_slice(), [Output::Refused(_)]));
    let cancel = Cancel { attempt: most + 1, epoch: 1 };
    link.handle(engine(engine_message::Body::Cancel(cancel)));
    link.handle(engine(engine_message::Body::ResultAck(ResultAck { attempt: most + 1 })));
    assert_eq!(link.forgotten().count(), MAX_FORGOTTEN);
    assert_eq!(link.forgotten().next(), Some(2), "the oldest goes first");
    assert!(matches!(link.handle(dispatch(2)).as_slice(), [Output::Refused(_)]));
}
